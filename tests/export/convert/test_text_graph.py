import numpy as np
import onnx
import pytest
import torch

from export.convert.text_graph import text_graph
from export.networks.kinds import TEXT_KINDS
from export.networks.text import TextNetwork
from export.padding import pad
from service.runtime.collate import pad_ids
from service.runtime.session import Session, open_session
from tests.export.tiny_networks import PAD, TEXTS, Floats, Ids, ids, text_network, with_votes

LENGTHS = ([1], [2], [7], [3, 3], [1, 12, 5], [2, 30, 4, 4, 9, 1, 17])


@pytest.fixture(scope="module", params=[*TEXT_KINDS, "lstm and votes", "two classes and votes"])
def network(request: pytest.FixtureRequest) -> TextNetwork:
    if request.param in TEXT_KINDS:
        return text_network(request.param)
    return with_votes(text_network(classes=2 if "two" in request.param else 3))


@pytest.fixture(scope="module")
def graph(network: TextNetwork) -> onnx.ModelProto:
    return text_graph(network)


@pytest.fixture(scope="module")
def session(graph: onnx.ModelProto) -> Session:
    return open_session(graph.SerializeToString())


def run(session: Session, rows: list[Ids], width: int = 0) -> Floats:
    """Logits [N, K] as the service asks for them, padded to `width` at least."""
    ids_NT, mask_NT = pad_ids(rows, PAD)
    extra = ((0, 0), (0, max(width - ids_NT.shape[1], 0)))
    feeds = {"input_ids": np.pad(ids_NT, extra), "attention_mask": np.pad(mask_NT, extra)}
    return session.run(feeds)["logits"]


@torch.no_grad()
def expected(network: TextNetwork, rows: list[Ids]) -> Floats:
    return network(pad(rows, PAD)).numpy()


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_the_graph_computes_what_torch_does(
    network: TextNetwork, session: Session, lengths: list[int]
) -> None:
    rows = ids(lengths, TEXTS.vocabulary, seed=len(lengths))
    found = run(session, rows)
    assert found.shape == (len(lengths), network.config.classes)
    np.testing.assert_allclose(found, expected(network, rows), rtol=1e-4, atol=1e-5)


def test_padding_changes_nothing_however_long(session: Session) -> None:
    rows = ids([6], TEXTS.vocabulary)
    for width in (6, 7, 40):
        np.testing.assert_allclose(run(session, rows, width), run(session, rows), atol=1e-6)


def test_an_item_alone_has_the_answer_it_has_among_longer_ones(session: Session) -> None:
    rows = ids([2, 25, 1, 11], TEXTS.vocabulary)
    together = run(session, rows)
    alone = np.concatenate([run(session, [row]) for row in rows])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_what_stands_in_the_padding_does_not_matter(session: Session) -> None:
    rows = ids([4, 9], TEXTS.vocabulary)
    ids_NT, mask_NT = pad_ids(rows, PAD)
    clean = session.run({"input_ids": ids_NT, "attention_mask": mask_NT})["logits"]
    ids_NT[0, 4:] = 37
    dirty = session.run({"input_ids": ids_NT, "attention_mask": mask_NT})["logits"]
    np.testing.assert_array_equal(clean, dirty)


def test_the_last_word_of_a_padded_text_weighs_as_much_as_that_of_the_same_text_alone(
    network: TextNetwork, session: Session
) -> None:
    (row,), (other,) = ids([5], TEXTS.vocabulary), ids([5], TEXTS.vocabulary)
    other[-1] = (row[-1] + 1) % TEXTS.vocabulary
    long = ids([20], TEXTS.vocabulary, seed=9)
    moved = run(session, [other, *long])[0] - run(session, [row, *long])[0]
    alone = expected(network, [other])[0] - expected(network, [row])[0]
    np.testing.assert_allclose(moved, alone, atol=1e-5)
    assert np.abs(moved).max() > 1e-2


def test_both_axes_are_free(graph: onnx.ModelProto) -> None:
    for value in graph.graph.input:
        axes = [d.dim_param for d in value.type.tensor_type.shape.dim]
        assert axes == ["batch", "sequence"]

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from export.convert.graph_builder import FLOAT, GraphBuilder
from export.convert.transformer_graphs import (
    MASKED,
    TransformerGraphs,
    exact_softmax,
    transformer_graphs,
)
from export.networks.greedy import decode_greedily
from export.networks.transformer import Transformer
from service.runtime.generate import Generator
from service.runtime.session import open_session
from service.runtime.slot_decoder import target_limit
from service.runtime.slots import Generated
from tests.export.stepping import encode, forced_logits, serialized
from tests.export.tiny_networks import (
    BOS,
    EOS,
    SPEC,
    TRANSLATIONS,
    Floats,
    Ids,
    Source,
    ids,
    sentences,
    transformer,
)

LENGTHS = (1, 2, 3, 7, 12, 5, 20, 9, 40, 4, 6, 30)


@pytest.fixture(scope="module")
def network() -> Transformer:
    return transformer()


@pytest.fixture(scope="module")
def graphs(network: Transformer) -> TransformerGraphs:
    return transformer_graphs(network)


def generator(graphs: TransformerGraphs, slots: int = 32) -> Generator:
    sessions = {role: open_session(graph) for role, graph in serialized(graphs).items()}
    return Generator(sessions["encoder"], sessions["decoder"], SPEC, slots)


def targets(lengths: list[int]) -> list[Ids]:
    """What the decoder is given: the start, then random words."""
    bodies = ids([length - 1 for length in lengths], TRANSLATIONS.vocabulary, seed=9)
    return [np.insert(body, 0, BOS) for body in bodies]


def batch_of_one(ids: Ids) -> Tensor:
    return torch.from_numpy(ids)[None]


@torch.no_grad()
def torch_logits(network: Transformer, source: Ids, target: Ids) -> Floats:
    return network(batch_of_one(source), batch_of_one(target))[0].numpy()


@torch.no_grad()
def torch_keys_and_values(network: Transformer, source: Ids, layer: int) -> Floats:
    memory_NSD, _ = network.encode(batch_of_one(source))
    packed = network.get_submodule(f"decoder.{layer}.cross_key_value")(memory_NSD)[0]
    return packed.unflatten(1, (2 * SPEC.heads, -1)).transpose(0, 1).numpy()


@pytest.mark.parametrize("lengths", [[1], [9], [3, 1, 14], [5] * 8], ids=str)
def test_packed_sentences_do_not_see_each_other(
    network: Transformer, graphs: TransformerGraphs, lengths: list[int]
) -> None:
    sources = sentences(lengths)
    for layer, packed in enumerate(encode(graphs.encoder, sources)):
        expected = [torch_keys_and_values(network, source, layer) for source in sources]
        np.testing.assert_allclose(packed, np.concatenate(expected, axis=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("sources", "said", "joins"),
    [
        ([6], [9], [0]),
        ([1], [3], [0]),
        ([3, 11, 1, 7], [5, 5, 5, 5], [0, 0, 0, 0]),
        ([3, 11, 1, 7], [12, 4, 9, 1], [0, 2, 2, 7]),
        ([35, 2], [2, 40], [0, 1]),
    ],
    ids=["one", "shortest", "same age", "of different age", "past a bucket of slots"],
)
def test_steps_give_the_logits_of_the_whole_sequence_in_torch(
    network: Transformer,
    graphs: TransformerGraphs,
    sources: list[int],
    said: list[int],
    joins: list[int],
) -> None:
    given, targeted = sentences(sources), targets(said)
    found = forced_logits(graphs, given, targeted, joins)
    for row, (source, target) in enumerate(zip(given, targeted, strict=True)):
        expected = torch_logits(network, source, target)
        np.testing.assert_allclose(found[row], expected, rtol=1e-3, atol=1e-3)


def greedy(network: Transformer, sources: list[Ids]) -> list[Generated]:
    return [
        Generated(list(found.ids), found.score, len(found.ids) < target_limit(SPEC, len(source)))
        for source in sources
        for found in [
            decode_greedily(
                network,
                torch.from_numpy(source),
                bos_id=BOS,
                eos_id=EOS,
                most=target_limit(SPEC, len(source)),
            )
        ]
    ]


def assert_same(found: list[Generated], expected: list[Generated]) -> None:
    assert [answer.ids for answer in found] == [answer.ids for answer in expected]
    assert [answer.finished for answer in found] == [answer.finished for answer in expected]
    scores = [answer.score for answer in expected]
    assert [answer.score for answer in found] == pytest.approx(scores, abs=1e-4)


@pytest.fixture(scope="module")
def expected(network: Transformer) -> list[Generated]:
    return greedy(network, sentences(LENGTHS))


def test_the_examples_end_early_late_and_at_their_limit(expected: list[Generated]) -> None:
    assert {answer.finished for answer in expected} == {True, False}
    assert len({len(answer.ids) for answer in expected}) > 8
    assert len({token for answer in expected for token in answer.ids}) > 30


def test_the_graphs_decode_each_sentence_alone_as_torch_does(
    graphs: TransformerGraphs, expected: list[Generated]
) -> None:
    runner = generator(graphs)
    found = [runner.run([Source(source)])[0] for source in sentences(LENGTHS)]
    assert_same(found, expected)


@pytest.mark.parametrize("slots", [32, 5])
def test_the_graphs_decode_rows_of_different_age_together_as_torch_does(
    graphs: TransformerGraphs, expected: list[Generated], slots: int
) -> None:
    found = generator(graphs, slots).run([Source(source) for source in sentences(LENGTHS)])
    assert_same(found, expected)


def test_a_score_that_is_no_best_token_is_never_said(graphs: TransformerGraphs) -> None:
    """next_ids and next_scores are the best of the logits, wherever in the vocabulary."""
    session = open_session(graphs.decoder.SerializeToString())
    names = ["next_ids", "next_scores", "logits"]
    rows, slots = 40, 4
    generator = np.random.default_rng(0)
    feeds = {
        "input_ids": generator.integers(0, SPEC.vocabulary, rows),
        "position_ids": np.zeros(rows, np.int64),
        "source_lengths": np.full(rows, slots),
    }
    for tensor in session.inputs:
        if tensor.name not in feeds:
            width = 1 if "last" in tensor.name else None
            shape = (
                (rows, width, SPEC.heads * SPEC.head_size)
                if width
                else (rows, SPEC.heads, slots, SPEC.head_size)
            )
            feeds[tensor.name] = generator.normal(size=shape).astype(np.float32)
    found = session.run(feeds, names)
    np.testing.assert_array_equal(found["next_ids"], found["logits"].argmax(1))
    logs = torch.log_softmax(torch.from_numpy(found["logits"]), 1).amax(1)
    np.testing.assert_allclose(found["next_scores"], logs.numpy(), rtol=1e-5, atol=1e-5)
    assert len(set(found["next_ids"].tolist())) > 5


def test_a_vocabulary_that_does_not_fill_whole_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 128"):
        transformer_graphs(Transformer(replace(TRANSLATIONS, vocabulary=100)))


def softmax_of(scores: Floats, *, exact: bool = True) -> Floats:
    """The last axis by the encoder's own operators, or by the operator that is made for it."""
    graph = GraphBuilder("softmax")
    given = graph.input("scores", FLOAT, ["rows", "tokens"])
    name = graph.output("weights", FLOAT, ["rows", "tokens"])
    weights = exact_softmax(graph, given) if exact else graph.node("Softmax", [given], axis=-1)
    graph.node("Identity", [weights], out=name)
    session = open_session(graph.model().SerializeToString())
    found: Floats = session.run({"scores": scores})["weights"]
    return found


def among_others(scores: Floats, before: int, after: int) -> Floats:
    """The same scores in a longer row, whose other places are masked."""
    sides = ((0, 0), (before, after))
    return np.pad(scores, sides, constant_values=MASKED).astype(np.float32)


def test_the_softmax_has_the_same_bits_wherever_a_sentence_stands() -> None:
    scores = np.random.default_rng(0).normal(0, 3, (64, 21)).astype(np.float32)
    alone, usual = softmax_of(scores), softmax_of(scores, exact=False)
    np.testing.assert_allclose(alone, usual, rtol=0, atol=1e-4)
    np.testing.assert_allclose(alone.sum(axis=1), 1, atol=1e-6)
    moved = 0
    for before, after in ((1, 0), (0, 43), (5, 9), (31, 2), (100, 7)):
        longer = among_others(scores, before, after)
        places = slice(before, before + 21)
        np.testing.assert_array_equal(softmax_of(longer)[:, places], alone)
        moved += int((softmax_of(longer, exact=False)[:, places] != usual).any())
    assert moved, "the operator's own sums depend on the place: else this would prove nothing"


def test_a_row_of_equal_scores_is_shared_out_evenly_however_long_it_is() -> None:
    for tokens in (1, 3, 200):
        weights = softmax_of(np.full((1, tokens), 50.0, np.float32))
        np.testing.assert_allclose(weights, 1 / tokens, rtol=1e-6)

"""A text network cut in two: the same numbers in pieces as in one, from whatever place."""

import numpy as np
import onnx
import pytest
import torch

from export.convert.tempered import tempered
from export.convert.text_graph import text_graph
from export.networks.kinds import TextKind
from export.networks.text import TextConfig, TextNetwork
from export.quantize.reading import BELOW, reading_graphs
from export.quantize.text import quantize_text
from export.temperature import Temperature
from service.runtime.session import Session, open_session
from tests.export.tiny_networks import TEXTS, Floats, Ids, ids, text_network, with_votes
from tests.tiny_reader import HIDDEN, VOCABULARY, graphs

ROWS = ids([40, 17, 25], VOCABULARY)


@pytest.fixture(scope="module")
def reader() -> Session:
    return open_session(graphs()["reader"])


def fresh(texts: int, reader: Session) -> dict[str, Floats]:
    widths = {tensor.name: int(tensor.shape[-1]) for tensor in reader.inputs[2:]}
    state = {name: np.zeros((texts, width), np.float32) for name, width in widths.items()}
    state["highest"][:] = -1.0
    return state


def read(reader: Session, rows: list[Ids], pieces: list[int]) -> dict[str, Floats]:
    """What is known of the texts when all have been read to their ends, piece by piece."""
    state = fresh(len(rows), reader)
    at = np.zeros(len(rows), np.int64)
    for tokens in pieces:
        piece = np.zeros((2, tokens + tokens % 2, len(rows)), np.int64)  # an even number
        lengths = np.array([min(tokens, len(r) - n) for r, n in zip(rows, at, strict=True)])
        for text, (row, n, count) in enumerate(zip(rows, at, lengths, strict=True)):
            piece[0, :count, text] = row[n : n + count]
            piece[1, :count, text] = row[::-1][n : n + count]
        given = reader.run({"ids": piece, "lengths": lengths.astype(np.int32), **state})
        state = {name: given[f"next_{name}"] for name in state}
        at += lengths
    return state


def test_what_is_known_does_not_go_by_the_pieces(reader: Session) -> None:
    for row in ROWS:
        at_once = read(reader, [row], [len(row)])
        for pieces in ([1] * len(row), [len(row) - 1, 1], [5, 11, len(row) - 16]):
            in_pieces = read(reader, [row], pieces)
            for name, expected in at_once.items():
                np.testing.assert_allclose(in_pieces[name], expected, rtol=0, atol=1e-5)


def test_texts_of_any_age_share_a_run(reader: Session) -> None:
    old, young = ROWS[0], ROWS[1]
    state = read(reader, [old], [24])
    both = {n: np.concatenate([state[n], first]) for n, first in fresh(1, reader).items()}
    ahead = np.stack([old[24:40], young[:16]])
    back = np.stack([old[::-1][24:40], young[::-1][:16]])
    piece = np.stack([ahead, back]).transpose(0, 2, 1)
    given = reader.run({"ids": piece, "lengths": np.full(2, 16, np.int32), **both})
    alone = [read(reader, [old], [40]), read(reader, [young], [16])]
    for name in both:
        expected = np.concatenate([state[name] for state in alone])
        np.testing.assert_allclose(given[f"next_{name}"], expected, rtol=0, atol=1e-5)


def test_what_stands_behind_the_end_of_a_text_counts_for_nothing(reader: Session) -> None:
    state = fresh(2, reader)
    piece = np.full((2, 10, 2), 7)
    piece[:, 4:, 0] = np.arange(6)
    lengths = np.array([4, 10], np.int32)
    found = reader.run({"ids": piece, "lengths": lengths, **state})
    short = reader.run({"ids": piece[:, :4, :1], "lengths": lengths[:1], **fresh(1, reader)})
    for name in ("next_highest", "next_total"):
        np.testing.assert_allclose(found[name][:1], short[name], rtol=0, atol=1e-6)
    assert short["next_highest"].min() < -0.05, "zeros behind the end would be higher"
    assert BELOW < -1.0


def test_a_new_text_has_a_state_of_zeros_whatever_its_guards_hold(reader: Session) -> None:
    moved = read(reader, [ROWS[0]], [40])["state"].reshape(4, -1)
    hidden = moved.shape[1]
    for given, cell in ((moved[0], moved[2]), (moved[1], moved[3])):
        assert (given[HIDDEN : HIDDEN + 2] == 0).all(), "they stay at their bounds"
        assert cell[HIDDEN : HIDDEN + 2].tolist() == [-40.0, 40.0]
    assert hidden % 8 == 0


def test_the_head_answers_from_what_the_reader_knows(reader: Session) -> None:
    whole, head = open_session(graphs()["model"]), open_session(graphs()["head"])
    for row in ROWS:
        text = {"input_ids": row[None], "attention_mask": np.ones((1, len(row)), np.int64)}
        known = read(reader, [row], [len(row)])
        pooled = {name: known[name] for name in ("highest", "total")}
        np.testing.assert_allclose(
            head.run({**text, **pooled})["logits"], whole.run(text)["logits"], rtol=0, atol=1e-5
        )


def test_the_head_holds_nothing_of_what_the_reader_does() -> None:
    head = onnx.load_from_string(graphs()["head"])
    names = {tensor.name for tensor in head.graph.initializer}
    assert not any(name.startswith(("lstm", "embedding")) for name in names)
    assert "head.weight" in names
    reader = onnx.load_from_string(graphs()["reader"])
    assert "head.weight" not in {tensor.name for tensor in reader.graph.initializer}


def test_votes_and_a_temperature_that_goes_by_length_are_the_heads_work(reader: Session) -> None:
    network = with_votes(text_network(classes=2))
    plain = quantize_text(text_graph(network)).SerializeToString()
    model = onnx.load_from_string(tempered(plain, Temperature(1.7, -0.2)))
    cut = reading_graphs(model)
    assert cut is not None
    own, head, whole = (
        open_session(graph.SerializeToString()) for graph in (cut["reader"], cut["head"], model)
    )
    for row in ids([30, 2], TEXTS.vocabulary):
        text = {"input_ids": row[None], "attention_mask": np.ones((1, len(row)), np.int64)}
        known = read(own, [row], [len(row)])
        pooled = {name: known[name] for name in ("highest", "total")}
        np.testing.assert_allclose(
            head.run({**text, **pooled})["logits"], whole.run(text)["logits"], rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("kind", ["gru", "cnn"])
def test_a_network_without_an_lstm_is_not_cut(kind: TextKind) -> None:
    assert reading_graphs(quantize_text(text_graph(text_network(kind)))) is None


def test_a_network_in_float_is_not_cut() -> None:
    torch.manual_seed(0)
    network = TextNetwork(TextConfig(VOCABULARY, 2, embedding=10, hidden=HIDDEN)).eval()
    assert reading_graphs(text_graph(network)) is None

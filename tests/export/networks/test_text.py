from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from export.networks.kinds import TEXT_KINDS, TextKind
from export.networks.readers import Convolutions, Recurrent, reversal
from export.networks.text import TextNetwork
from export.padding import pad
from export.tokens import PAD_ID
from tests.export.tiny_networks import TEXTS, ids, text_network, with_votes


@torch.no_grad()
def logits(
    network: TextNetwork, *rows: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]"
) -> Tensor:
    return network(pad(rows, PAD_ID))


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_a_text_has_the_same_logits_alone_and_padded_by_longer_neighbours(kind: TextKind) -> None:
    network, rows = with_votes(text_network(kind)), ids([1, 4, 9, 17], TEXTS.vocabulary)
    together = logits(network, *rows)
    alone = torch.cat([logits(network, row) for row in rows])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_padding_of_any_length_changes_nothing(kind: TextKind) -> None:
    network, (row,) = with_votes(text_network(kind)), ids([5], TEXTS.vocabulary)
    short, long = torch.from_numpy(row)[None], torch.zeros(1, 30, dtype=torch.int64)
    long[0, :5] = short
    with torch.no_grad():
        torch.testing.assert_close(network(long), network(short), rtol=1e-5, atol=1e-5)


def test_the_reverse_direction_starts_at_the_true_end_of_each_text() -> None:
    turned = reversal(torch.tensor([3, 1, 4]), 4)
    assert turned.tolist() == [[2, 1, 0, 3], [0, 1, 2, 3], [3, 2, 1, 0]]


def test_turning_twice_gives_the_text_back() -> None:
    turned = reversal(torch.tensor([1, 2, 5, 7]), 7)
    expected = torch.arange(7).expand(4, 7)
    assert torch.equal(turned.gather(1, turned), expected)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_two_directions_are_those_of_torchs_own_bidirectional_cell(kind: TextKind) -> None:
    network, rows = text_network(kind), ids([6, 2, 9], TEXTS.vocabulary)
    reader = network.reader
    assert isinstance(reader, Recurrent)
    padded, lengths = pad(rows, PAD_ID), torch.tensor([6, 2, 9])
    cell = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind]
    reference = cell(TEXTS.embedding, TEXTS.hidden, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for direction, ending in ((reader.ahead, ""), (reader.back, "_reverse")):
            for name, weight in direction.named_parameters():
                reference.get_parameter(f"{name}{ending}").copy_(weight)
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            network.embedding(padded), lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = torch.nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
        pooled = torch.stack(
            [
                torch.cat([states[i, :length].amax(0), states[i, :length].mean(0)])
                for i, length in enumerate(lengths)
            ]
        )
        torch.testing.assert_close(network(padded), network.head(pooled), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_the_order_of_words_matters(kind: TextKind) -> None:
    network, (row,) = text_network(kind), ids([6], TEXTS.vocabulary)
    assert not torch.allclose(logits(network, row), logits(network, row[::-1].copy()), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_a_nudge_is_added_to_what_the_tokens_stand_for(kind: TextKind) -> None:
    network, rows = text_network(kind), ids([3, 7], TEXTS.vocabulary)
    ids_NT = pad(rows, PAD_ID)
    torch.manual_seed(0)
    shift = torch.randn(TEXTS.embedding)
    nudged = network(ids_NT, shift.expand(2, 7, -1))
    assert not torch.allclose(nudged, network(ids_NT), atol=1e-2)
    network.embedding.weight += shift
    torch.testing.assert_close(nudged, network(ids_NT), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_a_nudge_of_nothing_or_of_padding_alone_changes_nothing(kind: TextKind) -> None:
    network, ids_NT = text_network(kind), pad(ids([3, 7], TEXTS.vocabulary), PAD_ID)
    beside = torch.ones(2, 7, TEXTS.embedding) * (ids_NT == PAD_ID)[..., None]
    for nudge in (torch.zeros_like(beside), beside):
        assert torch.equal(network(ids_NT, nudge), network(ids_NT))


def test_training_drops_words_but_never_invents_padding() -> None:
    torch.manual_seed(0)
    network = text_network().train()
    first, second = logits(network, *ids([8, 8], 60)), logits(network, *ids([8, 8], 60))
    assert not torch.equal(first, second)
    assert torch.isfinite(first).all()


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_nothing_in_a_network_is_bound_to_the_processor(kind: TextKind) -> None:
    """On torch's device without memory, any tensor left on the CPU would raise."""
    network = with_votes(text_network(kind)).to("meta")
    batch = torch.ones(2, 5, dtype=torch.int64, device="meta")
    for mode in (network.train(), network.eval()):
        assert mode(batch).device.type == "meta"


@pytest.mark.parametrize("name", ["ahead", "back"])
def test_forget_gates_start_open_and_recurrence_orthogonal(name: str) -> None:
    cell = TextNetwork(TEXTS).reader.get_submodule(name)
    hidden = TEXTS.hidden
    bias = cell.get_parameter("bias_ih_l0").detach()
    assert bias.view(4, hidden)[1].tolist() == [1.0] * hidden
    assert bias.sum() == hidden
    for gate in cell.get_parameter("weight_hh_l0").detach().split(hidden):
        torch.testing.assert_close(gate @ gate.T, torch.eye(hidden), rtol=0, atol=1e-5)


def test_a_gru_has_no_forget_gate_to_open() -> None:
    network = TextNetwork(replace(TEXTS, kind="gru"))
    assert network.reader.get_parameter("ahead.bias_ih_l0").abs().sum() == 0


@torch.no_grad()
def test_a_window_sees_its_neighbours_and_no_further() -> None:
    torch.manual_seed(0)
    reader = Convolutions(embedding=4, filters=6, kernels=(3, 5))
    x_NTE, real_NT = torch.randn(1, 9, 4), torch.ones(1, 9, dtype=torch.bool)
    before = reader(x_NTE, real_NT)
    assert before.shape == (1, 9, 12)
    x_NTE[0, 4] += 1.0
    moved = (reader(x_NTE, real_NT) != before)[0]
    assert moved[:, :6].any(1).nonzero().flatten().tolist() == [3, 4, 5]
    assert moved[:, 6:].any(1).nonzero().flatten().tolist() == [2, 3, 4, 5, 6]

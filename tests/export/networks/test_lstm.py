import numpy as np
import pytest
import torch
from torch import Tensor

from export.networks.lstm import BiLstm, reversal
from export.padding import pad
from export.tokens import PAD_ID
from tests.export.tiny_networks import TEXTS, ids, lstm


@torch.no_grad()
def logits(network: BiLstm, *rows: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]") -> Tensor:
    return network(pad(rows, PAD_ID))


def test_a_text_has_the_same_logits_alone_and_padded_by_longer_neighbours() -> None:
    network, rows = lstm(), ids([1, 4, 9, 17], TEXTS.vocabulary)
    together = logits(network, *rows)
    alone = torch.cat([logits(network, row) for row in rows])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_padding_of_any_length_changes_nothing() -> None:
    network, (row,) = lstm(), ids([5], TEXTS.vocabulary)
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


def test_the_two_directions_are_those_of_torchs_own_bidirectional_lstm() -> None:
    network, rows = lstm(), ids([6, 2, 9], TEXTS.vocabulary)
    padded, lengths = pad(rows, PAD_ID), torch.tensor([6, 2, 9])
    reference = torch.nn.LSTM(TEXTS.embedding, TEXTS.hidden, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for direction, ending in ((network.forward_lstm, ""), (network.reverse_lstm, "_reverse")):
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


def test_the_order_of_words_matters() -> None:
    network, (row,) = lstm(), ids([6], TEXTS.vocabulary)
    assert not torch.allclose(logits(network, row), logits(network, row[::-1].copy()), atol=1e-3)


def test_training_drops_words_but_never_invents_padding() -> None:
    torch.manual_seed(0)
    network = lstm().train()
    first, second = logits(network, *ids([8, 8], 60)), logits(network, *ids([8, 8], 60))
    assert not torch.equal(first, second)
    assert torch.isfinite(first).all()


@pytest.mark.parametrize("name", ["forward_lstm", "reverse_lstm"])
def test_forget_gates_start_open_and_recurrence_orthogonal(name: str) -> None:
    cell = BiLstm(TEXTS).get_submodule(name)
    hidden = TEXTS.hidden
    bias = cell.get_parameter("bias_ih_l0").detach()
    assert bias.view(4, hidden)[1].tolist() == [1.0] * hidden
    assert bias.sum() == hidden
    for gate in cell.get_parameter("weight_hh_l0").detach().split(hidden):
        torch.testing.assert_close(gate @ gate.T, torch.eye(hidden), rtol=0, atol=1e-5)

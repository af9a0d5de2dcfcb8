"""The loss of nudged texts, on tiny networks without dropout, where two passes are comparable."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from export.networks.kinds import TEXT_KINDS, TextKind
from export.networks.text import TextNetwork
from export.padding import pad
from export.recipes.adversarial import TextBatch, adversarial_loss, plain_loss, worst_nudge
from export.recipes.sentiment_training import EncodedTexts, SentimentTraining, train_sentiment
from export.tokens import PAD_ID
from tests.export.tiny_networks import TEXTS, ids, text_network

SHARE, SMOOTHING = 0.05, 0.1
LENGTHS = [2, 9, 5, 1]


class Watched(TextNetwork):
    """Keeps what it was nudged by."""

    def __init__(self, kind: TextKind) -> None:
        super().__init__(replace(TEXTS, kind=kind))
        self.load_state_dict(text_network(kind).state_dict())
        self.eval()
        self.nudges: list[Tensor] = []

    def forward(self, ids_NT: Tensor, nudge_NTE: Tensor | None = None) -> Tensor:
        if nudge_NTE is not None:
            self.nudges.append(nudge_NTE.detach().clone())
        return super().forward(ids_NT, nudge_NTE)


def batch() -> TextBatch:
    rows = ids(LENGTHS, TEXTS.vocabulary)
    return pad(rows, PAD_ID), torch.tensor([0, 2, 1, 1])


def length_of_each(x_NTE: Tensor) -> Tensor:
    return x_NTE.flatten(1).norm(dim=1)


def test_a_nudge_has_the_direction_of_the_slope_and_the_asked_length() -> None:
    torch.manual_seed(0)
    slope, embedded = (
        torch.randn(3, 4, 5),
        torch.randn(3, 4, 5) * torch.tensor([1, 2, 30.0])[:, None, None],
    )
    nudge = worst_nudge(slope, embedded, SHARE)
    torch.testing.assert_close(length_of_each(nudge), SHARE * length_of_each(embedded))
    alike = functional.cosine_similarity(nudge.flatten(1), slope.flatten(1))
    torch.testing.assert_close(alike, torch.ones(3))


def test_a_text_that_nothing_depends_on_is_not_nudged() -> None:
    nudge = worst_nudge(torch.zeros(2, 3, 4), torch.ones(2, 3, 4), SHARE)
    assert torch.equal(nudge, torch.zeros(2, 3, 4))


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_real_tokens_are_nudged_by_their_own_length_and_padding_never(kind: TextKind) -> None:
    network, (ids_NT, target) = Watched(kind), batch()
    adversarial_loss(network, (ids_NT, target), SMOOTHING, SHARE)
    before, nudge = network.nudges
    real_NT1 = (ids_NT != PAD_ID)[..., None]
    assert not before.any()
    assert not nudge[~real_NT1.expand_as(nudge)].any()
    expected = SHARE * length_of_each(network.embedding(ids_NT) * real_NT1)
    torch.testing.assert_close(length_of_each(nudge), expected)


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_the_worst_way_costs_more_than_none_or_any_other(kind: TextKind) -> None:
    network = Watched(kind)
    plain = plain_loss(network, batch(), SMOOTHING).detach()
    nudged = 2 * adversarial_loss(network, batch(), SMOOTHING, SHARE).detach() - plain
    worst = network.nudges[-1]
    assert nudged > plain + 1e-3
    for other in (-worst, worst.flip(2), worst[..., torch.randperm(TEXTS.embedding)]):
        assert plain_loss(network, batch(), SMOOTHING, other) < nudged


def test_gradients_are_the_mean_of_both_halves() -> None:
    network = Watched("lstm")
    adversarial_loss(network, batch(), SMOOTHING, SHARE).backward()
    found = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    nudge = network.nudges[-1]
    network.zero_grad()
    both = plain_loss(network, batch(), SMOOTHING) + plain_loss(network, batch(), SMOOTHING, nudge)
    (both / 2).backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_the_plain_loss_is_smoothed_cross_entropy() -> None:
    network, (ids_NT, target) = text_network(), batch()
    expected = functional.cross_entropy(network(ids_NT), target, label_smoothing=SMOOTHING)
    torch.testing.assert_close(plain_loss(network, (ids_NT, target), SMOOTHING), expected)


def trained(folder: Path, adversary: float) -> tuple[Watched, list[float]]:
    """Nothing but the loss differs between two of these: no dropout, no averaging, no votes."""
    network = Watched("lstm")
    network.config = replace(network.config, embedding_dropout=0.0, word_dropout=0.0)
    network.head_dropout.p = 0.0
    texts = EncodedTexts(ids([4] * 24, TEXTS.vocabulary), np.arange(24) % 3)
    settings = SentimentTraining(
        epochs=1, batch_rows=8, adversary=adversary, average_decay=0.0, buckets=0
    )
    history = train_sentiment(network, texts, {"same": texts}, settings, folder)
    return network, history.column("loss")


def test_without_an_adversary_training_nudges_nothing(tmp_path: Path) -> None:
    plain, without = trained(tmp_path / "plain", 0.0)
    nudged, with_one = trained(tmp_path / "nudged", 0.05)
    assert plain.nudges == []
    assert len(nudged.nudges) == 2 * 3
    assert with_one != without

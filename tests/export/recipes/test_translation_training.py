from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from export.datasets.generated import sentence_pairs
from export.datasets.rows import SentencePairs
from export.networks.transformer import Transformer
from export.recipes.translation_training import (
    EncodedPairs,
    TranslationTraining,
    agreeing_loss,
    encode_pairs,
    evaluate_translation,
    padded,
    token_batches,
    train_translation,
)
from export.tokens import EOS_ID, PAD_ID, train_translation_tokenizer
from tests.export.tiny_networks import TRANSLATIONS, sentences, transformer

TOKENS = 300


@pytest.fixture(scope="module")
def pairs() -> EncodedPairs:
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 40, 500)
    others = np.clip(lengths + generator.integers(-5, 6, 500), 1, 60)
    return EncodedPairs(sentences(lengths.tolist()), sentences(others.tolist(), seed=1))


@pytest.mark.parametrize("tokens", [1, 61, TOKENS, 10**9])
def test_every_pair_is_in_exactly_one_batch(pairs: EncodedPairs, tokens: int) -> None:
    batches = token_batches(pairs, tokens, (1, 0))
    assert all(len(rows) for rows in batches)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(pairs)))


def test_no_side_of_a_batch_is_larger_than_asked(pairs: EncodedPairs) -> None:
    # sides of quite other lengths: the longest row may stand anywhere in its batch
    unlike = EncodedPairs(pairs.sources, pairs.targets[::-1])
    for data in (pairs, unlike):
        for rows in token_batches(data, TOKENS, (1, 0)):
            assert max(side.numel() for side in padded(data, rows)) <= TOKENS


def test_a_pair_larger_than_a_batch_stands_alone() -> None:
    pairs = EncodedPairs(sentences([3, 50, 3]), sentences([3, 3, 3]))
    batches = token_batches(pairs, 20, (1, 0))
    assert [1] in [rows.tolist() for rows in batches]


def test_little_of_the_longer_side_is_padding(pairs: EncodedPairs) -> None:
    batches = [padded(pairs, rows) for rows in token_batches(pairs, 1000, (1, 0))]
    real = sum(int((target != PAD_ID).sum()) for _, target in batches)
    assert real > 0.85 * sum(target.numel() for _, target in batches)


def test_the_same_seed_gives_the_same_batches_and_another_epoch_others(
    pairs: EncodedPairs,
) -> None:
    def batches(*seed: int) -> list[list[int]]:
        return [rows.tolist() for rows in token_batches(pairs, TOKENS, seed)]

    assert batches(1, 0) == batches(1, 0)
    assert batches(1, 0) != batches(1, 1)
    assert batches(1, 0) != batches(2, 0)
    # not the same groups in another order: others share a batch
    assert {frozenset(b) for b in batches(1, 0)} != {frozenset(b) for b in batches(1, 1)}


def test_batches_come_in_no_order_of_length(pairs: EncodedPairs) -> None:
    means = [
        float(np.mean([len(pairs.targets[i]) for i in rows]))
        for rows in token_batches(pairs, TOKENS, (1, 0))
    ]
    assert means not in (sorted(means), sorted(means, reverse=True))


def test_padding_stands_behind_the_end(pairs: EncodedPairs) -> None:
    source, _ = padded(pairs, np.array([3, 4, 5]))
    for row, number in zip(source, (3, 4, 5), strict=True):
        length = len(pairs.sources[number])
        assert row[:length].tolist() == pairs.sources[number].tolist()
        assert not row[length:].any()


def test_long_pairs_are_left_out_on_both_sides() -> None:
    data = sentence_pairs(60)
    tokenizer = train_translation_tokenizer([*data.sources, *data.targets], 320)
    long = "a house " * 60
    rows = SentencePairs(
        [*data.sources, long, "short"], [*data.targets, "kurz", long], ("en", "de")
    )
    found = encode_pairs(tokenizer, rows, longest=50)
    assert len(found) == len(found.targets) == 60
    assert all(ids[-1] == EOS_ID for ids in (*found.sources, *found.targets))


def test_a_network_that_knows_the_answers_scores_full_marks() -> None:
    class Knowing(torch.nn.Module):
        """Says after each token of the target the one that follows."""

        def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            ahead = torch.nn.functional.pad(target[:, 1:], (0, 1), value=EOS_ID)
            return 30.0 * torch.nn.functional.one_hot(ahead, TRANSLATIONS.vocabulary).float()

    data = EncodedPairs(sentences([5, 5]), sentences([7, 7], seed=1))
    found = evaluate_translation(Knowing(), data, 100)
    assert found["token_accuracy"] == 1.0
    assert found["perplexity"] == pytest.approx(1.0, abs=1e-3)


def test_scores_do_not_depend_on_the_size_of_batches(pairs: EncodedPairs) -> None:
    few = EncodedPairs(pairs.sources[:20], pairs.targets[:20])
    network = transformer()
    one, many = (evaluate_translation(network, few, tokens) for tokens in (1, 500))
    assert one == pytest.approx(many, rel=1e-4)


def a_batch() -> tuple[torch.Tensor, torch.Tensor]:
    pairs = EncodedPairs(sentences([4, 9], 0), sentences([6, 3], 1))
    return padded(pairs, np.arange(2))


def test_without_dropout_two_passes_agree_and_only_the_cross_entropy_is_left() -> None:
    network, (source, target) = transformer(), a_batch()
    logits = network(source, functional.pad(target[:, :-1], (1, 0), value=1))
    real = target != PAD_ID
    expected = functional.cross_entropy(logits[real], target[real], label_smoothing=0.1)
    found = agreeing_loss(network, (source, target), smoothing=0.1, weight=5.0)
    torch.testing.assert_close(found, expected)


def test_dropout_makes_two_passes_differ_and_disagreement_costs() -> None:
    network = Transformer(replace(TRANSLATIONS, dropout=0.3)).train()
    found = []
    for weight in (0.0, 1.0, 3.0):
        torch.manual_seed(1)
        found.append(agreeing_loss(network, a_batch(), 0.1, weight).item())
    assert found[1] > found[0]
    assert found[2] - found[0] == pytest.approx(3 * (found[1] - found[0]), rel=1e-3)


class Watched(Transformer):
    """Notes the first token of every batch that it is trained on."""

    def __init__(self) -> None:
        super().__init__(TRANSLATIONS)
        self.load_state_dict(transformer().state_dict())
        self.seen: list[int] = []

    def encode(self, source_NS: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.training:
            self.seen.append(int(source_NS[0, 0]))
        return super().encode(source_NS)


def all_of(token: int) -> EncodedPairs:
    """Pairs of equal length that say nothing but this token."""
    row = np.array([token] * 5 + [EOS_ID])
    return EncodedPairs([row] * 12, [row] * 12)


def closed(
    folder: Path, *rounds: tuple[int, ...], peak: float = 0.6
) -> tuple[Watched, list[float]]:
    network = Watched()
    settings = TranslationTraining(epochs=2, batch_tokens=24, average_decay=0.0, closing_peak=peak)
    closing = [[all_of(token) for token in round_] for round_ in rounds]
    history = train_translation(network, all_of(50), all_of(50), settings, folder, closing)
    return network, history.column("validation_loss")


def test_closing_pairs_are_learnt_after_the_usual_ones_an_epoch_each(tmp_path: Path) -> None:
    network, losses = closed(tmp_path, (60, 70), (80,))
    assert network.seen == [50] * 6 + [60] * 3 + [70] * 3 + [80] * 3
    assert len(losses) == 5


def test_without_closing_pairs_training_ends_with_the_usual_ones(tmp_path: Path) -> None:
    network, losses = closed(tmp_path)
    assert network.seen == [50] * 6
    assert len(losses) == 2
    assert losses[1] < losses[0]


def test_rates_fall_and_rise_once_more_for_each_round_of_closing_pairs(tmp_path: Path) -> None:
    _, still = closed(tmp_path / "still", (60,), (70,), peak=0.0)
    _, risen = closed(tmp_path / "risen", (60,), (70,), peak=0.6)
    assert still[1] != still[0]
    assert still[3] == still[2] == still[1]
    assert risen[:2] == still[:2]
    assert len(set(risen)) == 4

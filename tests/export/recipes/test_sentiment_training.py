import numpy as np
import pytest
import torch

from export.datasets.rows import LabelledTexts
from export.padding import pad
from export.recipes.sentiment_training import (
    EncodedTexts,
    SentimentTraining,
    encode_texts,
    logits_of,
    text_batches,
)
from export.tokens import PAD_ID, train_review_tokenizer
from tests.export.tiny_networks import TEXTS, Ids, ids, text_network

MOST_TOKENS, MOST_ROWS = 400, 20


@pytest.fixture(scope="module")
def rows() -> list[Ids]:
    """Mostly short ones, and a few that are long."""
    lengths = np.random.default_rng(0).geometric(0.05, 500).clip(1, 200)
    return ids(lengths.tolist(), TEXTS.vocabulary)


def batches(rows: list[Ids], *seed: int, tokens: int = MOST_TOKENS) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    return [batch.tolist() for batch in text_batches(rows, tokens, MOST_ROWS, generator)]


@pytest.mark.parametrize("tokens", [1, 200, 400, 10**9])
def test_every_text_is_in_exactly_one_batch(rows: list[Ids], tokens: int) -> None:
    found = batches(rows, 1, tokens=tokens)
    assert all(found)
    assert sorted(row for batch in found for row in batch) == list(range(len(rows)))


def test_batches_keep_to_their_bounds(rows: list[Ids]) -> None:
    # of rows of nearly one length, the longest may stand anywhere in its batch
    alike = ids(np.random.default_rng(0).integers(60, 71, 300).tolist(), TEXTS.vocabulary)
    for given in (rows, alike):
        for batch in (batch for seed in range(10) for batch in batches(given, seed)):
            assert pad([given[i] for i in batch], PAD_ID).numel() <= MOST_TOKENS
            assert len(batch) <= MOST_ROWS
    assert max(map(len, batches(rows, 1))) == MOST_ROWS


def test_a_text_longer_than_a_batch_stands_alone() -> None:
    long = ids([3, 900, 3], TEXTS.vocabulary)
    assert [1] in batches(long, 1)


def test_little_is_padding(rows: list[Ids]) -> None:
    padded = [pad([rows[i] for i in batch], PAD_ID) for batch in batches(rows, 1)]
    real = sum(int((batch != PAD_ID).sum()) for batch in padded)
    assert real > 0.85 * sum(batch.numel() for batch in padded)


def test_the_same_seed_gives_the_same_batches_and_another_epoch_others(rows: list[Ids]) -> None:
    assert batches(rows, 1, 0) == batches(rows, 1, 0)
    first, second = batches(rows, 1, 0), batches(rows, 1, 1)
    assert first != second
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in second}


def test_logits_come_in_the_order_of_the_texts(rows: list[Ids]) -> None:
    few = EncodedTexts(rows[:120], np.zeros(120, np.int64))
    network = text_network()
    found = logits_of(network, few)
    with torch.no_grad():
        alone = torch.cat([network(pad([row], PAD_ID)) for row in few.ids[:10]])
    torch.testing.assert_close(found[:10], alone, rtol=1e-4, atol=1e-5)
    assert len(found) == 120


def test_a_text_without_tokens_is_left_out_with_its_label() -> None:
    tokenizer = train_review_tokenizer(["good film", "bad film"], 60)
    texts = LabelledTexts(["good", "<br />", "bad film"], np.array([1, 0, 1]), ("n", "p"))
    found = encode_texts(tokenizer, texts, longest=100)
    assert len(found) == 2
    assert found.labels.tolist() == [1, 1]


def test_a_long_text_is_cut_to_the_limit() -> None:
    tokenizer = train_review_tokenizer(["good film", "bad film"], 60)
    texts = LabelledTexts(["good film " * 50], np.array([1]), ("n", "p"))
    assert len(encode_texts(tokenizer, texts, longest=30).ids[0]) == 30


def test_windows_grow_with_the_epochs() -> None:
    settings = SentimentTraining(epochs=10, windows=((0.3, 100), (0.7, 200), (1.0, 400)))
    assert [settings.window(epoch) for epoch in range(10)] == [100] * 3 + [200] * 4 + [400] * 3
    assert SentimentTraining(epochs=1).window(0) == SentimentTraining().windows[-1][1]

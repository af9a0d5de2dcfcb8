"""The page of a text model tells what is true of its data, its network and its training."""

from dataclasses import replace

import pytest
import torch

from export.networks.ngrams import NgramVotes
from export.networks.text import TextNetwork
from export.recipes.sentiment_card import card_text
from export.recipes.sentiment_training import SentimentTraining
from export.report import CardText
from tests.export.tiny_networks import TEXTS

USUAL = SentimentTraining()


def text(
    trained: SentimentTraining = USUAL,
    *,
    votes: bool = False,
    is_public: bool = False,
    begun: bool = False,
) -> CardText:
    network = TextNetwork(TEXTS)
    network.votes = NgramVotes(torch.zeros(8, 3)) if votes else None
    return card_text(network, trained, 512, is_public=is_public, begun=begun)


def words(said: CardText) -> str:
    return " ".join((*said.intended_use, *said.misuse, *said.known_limits, said.training))


@pytest.mark.parametrize("fact", ["English", "opinion", "films", "short phrases"])
def test_of_own_texts_nothing_is_told_that_only_the_public_ones_are(fact: str) -> None:
    assert fact in words(text(is_public=True))
    assert fact not in words(text())


def test_the_limit_of_tokens_is_told_whatever_the_data() -> None:
    for is_public in (True, False):
        assert "up to its 512th token" in text(is_public=is_public).known_limits[0]


def test_the_public_training_is_told_as_it_was() -> None:
    assert text(is_public=True, votes=True).training == (
        "First word vectors from counts of neighbours; AdamW on windows of up to 400 tokens of the "
        "long texts together with short phrases, label smoothing 0.05, dropout on words and "
        "embeddings, embeddings nudged their worst way, pooling by maximum and mean, averaged "
        "weights; joined by a linear model over runs of up to three tokens, by which validation "
        "gained."
    )


def test_what_was_not_done_is_not_told() -> None:
    trained = replace(USUAL, adversary=0.0, windows=((1.0, 120),), label_smoothing=0.2)
    assert text(trained, begun=True).training == (
        "AdamW on windows of up to 120 tokens of the long texts, label smoothing 0.2, dropout on "
        "words and embeddings, pooling by maximum and mean, averaged weights."
    )

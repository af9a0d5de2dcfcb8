"""The text network that a run begins with, new or with what it learnt before, and its settings."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from export.networks.text import TextConfig, TextNetwork
from export.options import Options
from export.recipes.sentiment_data import QUICK_TRAIN
from export.recipes.sentiment_training import EncodedTexts, SentimentTraining
from export.recipes.word_vectors import word_vectors
from export.transfer.source import Source
from export.transfer.texts import start_text_network

QUICK = SentimentTraining(
    epochs=5,
    batch_windows=12,
    batch_rows=32,
    windows=((1.0, 120),),
    rate=4e-3,
    average_decay=0.9,
    buckets=16_381,
)
FEW_ROWS = 20_000
BUCKETS_FOR_FEW = 131_071


def begin(
    options: Options,
    source: Source | None,
    labels: Sequence[str],
    vocabulary: int,
    train: EncodedTexts,
) -> TextNetwork:
    """The network before its first step; raises TransferError where `source` does not fit."""
    kind = options.text_network
    plain = TextConfig(vocabulary, len(labels), kind or "lstm")
    torch.manual_seed(options.seed)
    if source is not None:
        return start_text_network(source, labels, kind, plain)
    if options.quick:
        plain = replace(plain, embedding=48, hidden=32, embedding_dropout=0.3, word_dropout=0.05)
    network = TextNetwork(plain)
    with torch.no_grad():
        vectors = word_vectors(train.ids, vocabulary, plain.embedding, options.seed)
        network.embedding.weight.copy_(vectors)
    return network


def settings(options: Options, rows: int) -> SentimentTraining:
    """Small data get small batches and many epochs; what was learnt before moves slowly."""
    chosen = QUICK if options.quick else SentimentTraining()
    if not options.quick and rows < FEW_ROWS:
        chosen = replace(
            chosen,
            epochs=20,
            batch_rows=32,
            windows=((1.0, 200),),
            average_decay=0.99,
            patience=5,
            buckets=BUCKETS_FOR_FEW,
        )
    if options.origin is not None:
        chosen = replace(chosen, rate_factor=options.rate or 0.25)
    usual_rows = QUICK_TRAIN if options.quick else 0
    epochs = options.epochs_for(rows, usual_rows=usual_rows, usual=chosen.epochs)
    return replace(chosen, epochs=epochs, seed=options.seed)

"""Trains the text network. Knows windows, batches of like length and rates; nothing of ONNX.

N texts, T tokens, K classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from export.datasets.rows import LabelledTexts
from export.networks.lstm import BiLstm, LstmConfig
from export.padding import pad
from export.tokens import PAD_ID
from export.training import History, Lesson, Plan, Scores, Stepper, Trainer, warm_up_then_decay

Ids = NDArray[np.int64]
TextBatch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class SentimentTraining:
    """A long text is seen through a window of `window` tokens, elsewhere in every epoch."""

    epochs: int = 4
    batch_tokens: int = 12_800
    batch_rows: int = 128
    window: int = 200
    rate: float = 2e-3
    weight_decay: float = 0.01
    label_smoothing: float = 0.05
    average_decay: float = 0.998
    patience: int = 0
    seed: int = 1


@dataclass(frozen=True)
class EncodedTexts:
    """Token ids of each text, cut to the model's limit, and its class number."""

    ids: Sequence[Ids]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


def encode_texts(tokenizer: Tokenizer, data: LabelledTexts, longest: int) -> EncodedTexts:
    """Texts without any token are left out."""
    ids = [
        np.asarray(encoding.ids[:longest], np.int64)
        for encoding in tokenizer.encode_batch(list(data.texts))
    ]
    kept = [i for i, row in enumerate(ids) if len(row)]
    return EncodedTexts([ids[i] for i in kept], data.labels[kept])


def train_sentiment(
    train: EncodedTexts,
    validations: dict[str, EncodedTexts],
    config: LstmConfig,
    settings: SentimentTraining,
    folder: Path,
) -> tuple[BiLstm, History]:
    """Train from scratch; kept are the weights with the best mean accuracy over `validations`."""
    torch.manual_seed(settings.seed)
    network = BiLstm(config)

    def batches(epoch: int) -> Iterator[TextBatch]:
        generator = np.random.default_rng((settings.seed, epoch))
        windows = [_window(ids, settings.window, generator) for ids in train.ids]
        for rows in text_batches(windows, settings, generator):
            yield pad([windows[i] for i in rows], PAD_ID), torch.from_numpy(train.labels[rows])

    def loss(network: nn.Module, batch: TextBatch) -> Tensor:
        return functional.cross_entropy(
            network(batch[0]).float(), batch[1], label_smoothing=settings.label_smoothing
        )

    trainer = Trainer(
        network,
        Plan(
            epochs=settings.epochs,
            steps_per_epoch=_steps(train, settings),
            average_decay=settings.average_decay,
            patience=settings.patience,
            clip=1.0,
            seed=settings.seed,
        ),
        Stepper((_optimizer(network, settings),), warm_up_then_decay(0.1, 0.02)),
        Lesson(batches, loss, lambda network: _evaluate_all(network, validations)),
        folder,
        "sentiment",
    )
    history = trainer.run()
    return network.eval(), history


def text_batches(
    rows: Sequence[Ids], settings: SentimentTraining, generator: np.random.Generator
) -> list[Ids]:
    """Rows of about equal length together, the batches in random order."""
    lengths = np.array([len(ids) for ids in rows])
    order = np.argsort(lengths * generator.uniform(0.95, 1.05, len(rows)) + generator.random())
    cuts, longest = [0], 0
    for position, row in enumerate(order):
        longest = max(longest, int(lengths[row]))
        size = position + 1 - cuts[-1]
        if size * longest > settings.batch_tokens or size > settings.batch_rows:
            cuts.append(position)
            longest = int(lengths[row])
    batches = [order[start:end] for start, end in pairwise([*cuts, len(order)]) if end > start]
    return [batches[i] for i in generator.permutation(len(batches))]


@torch.no_grad()
def logits_of(network: nn.Module, data: EncodedTexts) -> Tensor:
    """Logits [N, K] in the order of `data`, computed on rows of like length together."""
    order = np.argsort([len(ids) for ids in data.ids])
    parts = [
        network(pad([data.ids[i] for i in order[start : start + 100]], PAD_ID)).float()
        for start in range(0, len(order), 100)
    ]
    logits_NK = torch.cat(parts)
    return logits_NK[torch.from_numpy(np.argsort(order))]


def _evaluate_all(network: nn.Module, validations: dict[str, EncodedTexts]) -> Scores:
    scores: Scores = {}
    for name, data in validations.items():
        logits_NK, target = logits_of(network, data), torch.from_numpy(data.labels)
        scores[f"{name}_loss"] = float(functional.cross_entropy(logits_NK, target))
        scores[f"{name}_accuracy"] = float((logits_NK.argmax(1) == target).float().mean())
    accuracies = [value for name, value in scores.items() if name.endswith("accuracy")]
    return {**scores, "accuracy": sum(accuracies) / len(accuracies)}


def _window(ids: Ids, window: int, generator: np.random.Generator) -> Ids:
    spare = len(ids) - window
    if spare <= 0:
        return ids
    # Reviews often say it at the start or the end: both are drawn as often as the middle.
    start = int(np.clip(generator.integers(-spare // 2, spare + spare // 2 + 1), 0, spare))
    return ids[start : start + window]


def _steps(train: EncodedTexts, settings: SentimentTraining) -> int:
    generator = np.random.default_rng((settings.seed, 0))
    windows = [_window(ids, settings.window, generator) for ids in train.ids]
    return len(text_batches(windows, settings, generator))


def _optimizer(network: nn.Module, settings: SentimentTraining) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        network.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
    )

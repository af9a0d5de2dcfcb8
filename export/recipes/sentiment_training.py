"""Trains the text network. Knows windows, batches of like length and rates; nothing of ONNX.

N texts, T tokens, K classes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from export.devices import device_of, fastest_device
from export.networks.ngrams import NgramVotes
from export.networks.text import TextNetwork
from export.padding import pad
from export.recipes.adversarial import TextBatch, adversarial_loss, plain_loss
from export.recipes.vote_fitting import best_share, fit_votes, votes_of
from export.tokens import PAD_ID
from export.training import History, Lesson, Plan, Scores, Stepper, Trainer, warm_up_then_decay

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class SentimentTraining:
    """A long text is seen through a window of tokens, elsewhere in every epoch.

    windows: (share of the epochs, tokens), so that the first epochs are cheap and the last ones see
    texts nearly whole. batch_windows: so many full windows make a batch. rate_factor: on the rates
    of what was learnt before, for a network that does not start afresh. adversary: length of the
    worst nudge to a text's embedded tokens, as a share of their own (0: none). buckets: of the
    n-gram table that joins the network after training (0: none). only_load: as in `Plan`.
    """

    epochs: int = 7
    batch_windows: int = 64
    batch_rows: int = 128
    windows: tuple[tuple[float, int], ...] = ((0.3, 100), (0.72, 200), (1.0, 400))
    rate: float = 2e-3
    rate_factor: float = 1.0
    weight_decay: float = 0.01
    label_smoothing: float = 0.05
    adversary: float = 0.02
    average_decay: float = 0.998
    patience: int = 0
    buckets: int = 2_097_143
    seed: int = 1
    only_load: bool = False

    def window(self, epoch: int) -> int:
        """Tokens seen of a text in this epoch, counted from 0."""
        done = (epoch + 1) / self.epochs
        return next((size for share, size in self.windows if done <= share), self.windows[-1][1])


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
    network: TextNetwork,
    train: EncodedTexts,
    validations: Mapping[str, EncodedTexts],
    settings: SentimentTraining,
    folder: Path,
) -> History:
    """Train this network; it keeps the weights with the best mean accuracy over `validations`, and
    comes back on the CPU in evaluation mode, joined by n-gram votes where these help."""

    def batches(epoch: int) -> Iterator[TextBatch]:
        windows, rows_of_batches = _epoch(train, settings, epoch)
        for rows in rows_of_batches:
            yield pad([windows[i] for i in rows], PAD_ID), torch.from_numpy(train.labels[rows])

    votes, network.votes = network.votes, None
    network.to(fastest_device())
    trainer = Trainer(
        network,
        Plan(
            epochs=settings.epochs,
            steps_per_epoch=_steps(train, settings),
            average_decay=settings.average_decay,
            patience=settings.patience,
            clip=1.0,
            seed=settings.seed,
            only_load=settings.only_load,
        ),
        Stepper((_optimizer(network, settings),), warm_up_then_decay(0.1, 0.02)),
        Lesson(batches, _loss(settings), lambda network: _evaluate_all(network, validations)),
        folder,
        "sentiment",
    )
    history = trainer.run()
    network.cpu().eval()
    network.votes = votes or _fitted_votes(network, train, validations, settings.buckets)
    return history


def _loss(settings: SentimentTraining) -> Callable[[nn.Module, TextBatch], Tensor]:
    def loss(network: nn.Module, batch: TextBatch) -> Tensor:
        if not settings.adversary:
            return plain_loss(network, batch, settings.label_smoothing)
        assert isinstance(network, TextNetwork)
        return adversarial_loss(network, batch, settings.label_smoothing, settings.adversary)

    return loss


def _fitted_votes(
    network: TextNetwork, train: EncodedTexts, validations: Mapping[str, EncodedTexts], buckets: int
) -> NgramVotes | None:
    """An n-gram table whose share suits validation data; None where it helps nothing."""
    if not buckets:
        return None
    table_BC = fit_votes(train.ids, train.labels, network.config.classes, buckets)
    share = best_share(
        {name: logits_of(network, rows) for name, rows in validations.items()},
        {name: votes_of(table_BC, rows.ids) for name, rows in validations.items()},
        {name: torch.from_numpy(rows.labels) for name, rows in validations.items()},
    )
    return NgramVotes(share * table_BC) if share else None


def _epoch(
    train: EncodedTexts, settings: SentimentTraining, epoch: int
) -> tuple[list[Ids], list[Ids]]:
    """What is seen of each text in this epoch, and the rows of each batch."""
    generator = np.random.default_rng((settings.seed, epoch))
    size = settings.window(epoch)
    windows = [_window(ids, size, generator) for ids in train.ids]
    tokens = settings.batch_windows * size
    return windows, text_batches(windows, tokens, settings.batch_rows, generator)


def text_batches(
    rows: Sequence[Ids], most_tokens: int, most_rows: int, generator: np.random.Generator
) -> list[Ids]:
    """Rows of about equal length together, the batches in random order. `most_tokens` counts the
    padding."""
    lengths = np.array([len(ids) for ids in rows])
    order = np.argsort(lengths * generator.uniform(0.95, 1.05, len(rows)) + generator.random())
    cuts, longest = [0], 0
    for position, row in enumerate(order):
        longest = max(longest, int(lengths[row]))
        size = position + 1 - cuts[-1]
        if size * longest > most_tokens or size > most_rows:
            cuts.append(position)
            longest = int(lengths[row])
    batches = [order[start:end] for start, end in pairwise([*cuts, len(order)]) if end > start]
    return [batches[i] for i in generator.permutation(len(batches))]


@torch.no_grad()
def logits_of(network: nn.Module, data: EncodedTexts) -> Tensor:
    """Logits [N, K] in the order of `data`, computed on rows of like length together."""
    order, device = np.argsort([len(ids) for ids in data.ids]), device_of(network)
    parts = [
        network(pad([data.ids[i] for i in order[start : start + 100]], PAD_ID).to(device)).cpu()
        for start in range(0, len(order), 100)
    ]
    logits_NK = torch.cat(parts)
    return logits_NK[torch.from_numpy(np.argsort(order))]


def _evaluate_all(network: nn.Module, validations: Mapping[str, EncodedTexts]) -> Scores:
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
    """As many as every epoch has: their windows, and so their batches, differ a little."""
    first_of_each = {settings.window(epoch): epoch for epoch in reversed(range(settings.epochs))}
    return min(len(_epoch(train, settings, epoch)[1]) for epoch in first_of_each.values())


def _optimizer(network: TextNetwork, settings: SentimentTraining) -> torch.optim.Optimizer:
    fresh = {id(parameter) for parameter in network.head.parameters()}
    known = [p for p in network.parameters() if id(p) not in fresh]
    groups = [
        {"params": known, "lr": settings.rate * settings.rate_factor},
        {"params": list(network.head.parameters()), "lr": settings.rate},
    ]
    return torch.optim.AdamW(groups, lr=settings.rate, weight_decay=settings.weight_decay)

"""Trains the translation network. Knows vocabularies, token batches and rates; nothing of ONNX.

N sentences, S source tokens, T target tokens, V vocabulary.
"""

import math
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

from export.datasets.rows import SentencePairs
from export.devices import device_of, fastest_device, moved
from export.losses import linear_cross_entropy
from export.networks.transformer import Transformer
from export.optimizers import Muon, split_parameters
from export.padding import pad
from export.tokens import BOS_ID, PAD_ID
from export.training import (
    History,
    Lesson,
    Plan,
    Scores,
    Stepper,
    Trainer,
    one_after_another,
    warm_up_then_decay,
)

Ids = NDArray[np.int64]
PairBatch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TranslationTraining:
    """`batch_tokens` bounds the padded tokens of either side of a batch; `matrix_rate` is Muon's,
    `rate` Adam's, `rate_factor` on both for a network that does not start afresh. r_drop: weight of
    the term that asks two passes with different dropout to agree (0: one pass). closing_peak: share
    of the rates that each closing round rises to once more. only_load: as in `Plan`."""

    epochs: int = 3
    batch_tokens: int = 4096
    rate: float = 2e-3
    matrix_rate: float = 3.5e-3
    rate_factor: float = 1.0
    r_drop: float = 0.0
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    warm_up: float = 0.06
    closing_peak: float = 0.6
    average_decay: float = 0.995
    longest: int = 100
    patience: int = 0
    seed: int = 1
    only_load: bool = False


@dataclass(frozen=True)
class EncodedPairs:
    """Token ids of both sides; each ends in EOS."""

    sources: Sequence[Ids]
    targets: Sequence[Ids]

    def __len__(self) -> int:
        return len(self.sources)


def encode_pairs(tokenizer: Tokenizer, pairs: SentencePairs, longest: int) -> EncodedPairs:
    """Both sides as ids; pairs with a side of more than `longest` tokens are left out."""
    sources, targets = (
        [np.asarray(e.ids, np.int64) for e in tokenizer.encode_batch(list(side))]
        for side in (pairs.sources, pairs.targets)
    )
    kept = [
        (s, t)
        for s, t in zip(sources, targets, strict=True)
        if len(s) <= longest and len(t) <= longest
    ]
    return EncodedPairs([s for s, _ in kept], [t for _, t in kept])


def train_translation(
    network: Transformer,
    train: EncodedPairs,
    validation: EncodedPairs,
    settings: TranslationTraining,
    folder: Path,
    closing: Sequence[Sequence[EncodedPairs]] = (),
) -> History:
    """Train this network; it comes back on the CPU in evaluation mode with its best weights.

    closing: rounds of epochs after the usual ones, each with the pairs of its epochs.
    """
    network.to(fastest_device())
    rounds = [[train] * settings.epochs, *closing]
    epochs = [pairs for round_ in rounds for pairs in round_]

    def batches(epoch: int) -> Iterator[PairBatch]:
        pairs = epochs[epoch]
        for rows in token_batches(pairs, settings.batch_tokens, (settings.seed, epoch)):
            yield padded(pairs, rows)

    def loss(_: nn.Module, batch: PairBatch) -> Tensor:
        if settings.r_drop:
            return agreeing_loss(network, batch, settings.label_smoothing, settings.r_drop)
        return _cross_entropy(network, batch, settings.label_smoothing)

    def evaluate(network: nn.Module) -> Scores:
        return evaluate_translation(network, validation, settings.batch_tokens)

    trainer = Trainer(
        network,
        Plan(
            epochs=len(epochs),
            steps_per_epoch=len(token_batches(train, settings.batch_tokens, (settings.seed, 0))),
            metric="token_accuracy",
            average_decay=settings.average_decay,
            patience=settings.patience,
            clip=1.0,
            seed=settings.seed,
            only_load=settings.only_load,
        ),
        _stepper(network, settings, [len(round_) for round_ in rounds if round_]),
        Lesson(batches, loss, evaluate),
        folder,
        "translation",
    )
    history = trainer.run()
    network.cpu().eval()
    return history


def token_batches(data: EncodedPairs, tokens: int, seed: tuple[int, ...]) -> list[Ids]:
    """Rows of about equal length together, the batches in random order; same seed, same batches."""
    generator = np.random.default_rng(seed)
    lengths = np.array([(len(t), len(s)) for s, t in zip(data.sources, data.targets, strict=True)])
    # Rows of one (target, source) length are many: their random order makes batches differ.
    order = np.lexsort((generator.random(len(data)), lengths[:, 1], lengths[:, 0]))
    cuts, longest = [0], 0
    for position, row in enumerate(order):
        longest = max(longest, int(lengths[row].max()))
        if (position + 1 - cuts[-1]) * longest > tokens:
            cuts.append(position)
            longest = int(lengths[row].max())
    cuts.append(len(order))
    batches = [order[start:end] for start, end in pairwise(cuts) if end > start]
    return [batches[i] for i in generator.permutation(len(batches))]


def padded(data: EncodedPairs, rows: Ids) -> PairBatch:
    """Source [N, S] and target [N, T] of these rows, padded at the end."""
    sources, targets = ([side[i] for i in rows] for side in (data.sources, data.targets))
    return pad(sources, PAD_ID), pad(targets, PAD_ID)


@torch.no_grad()
def evaluate_translation(network: nn.Module, data: EncodedPairs, tokens: int) -> Scores:
    """Cross entropy, perplexity and share of right next tokens, given the true ones before."""
    loss, right, count, device = 0.0, 0, 0, device_of(network)
    for rows in token_batches(data, tokens, (0,)):
        source_NS, target_NT = moved(padded(data, rows), device)
        logits_NTV = network(source_NS, _shifted(target_NT))
        real = target_NT != PAD_ID
        right += int((logits_NTV.argmax(-1) == target_NT)[real].sum())
        loss += float(functional.cross_entropy(logits_NTV[real], target_NT[real], reduction="sum"))
        count += int(real.sum())
    mean = loss / count
    return {
        "validation_loss": mean,
        "perplexity": math.exp(min(mean, 20)),
        "token_accuracy": right / count,
    }


def _cross_entropy(network: Transformer, batch: PairBatch, smoothing: float) -> Tensor:
    source_NS, target_NT = batch
    memory_NSD, keep = network.encode(source_NS)
    hidden_NTD = network.hidden(memory_NSD, keep, _shifted(target_NT))
    real = target_NT != PAD_ID
    if hidden_NTD.is_cuda:  # all logits at once are what a GPU is good at
        logits = network.logits(hidden_NTD[real]).float()
        return functional.cross_entropy(logits, target_NT[real], label_smoothing=smoothing)
    return linear_cross_entropy(
        hidden_NTD[real],
        network.embedding.weight,
        network.output_bias,
        target_NT[real],
        smoothing,
    )


def agreeing_loss(
    network: Transformer, batch: PairBatch, smoothing: float, weight: float
) -> Tensor:
    """R-Drop (Liang et al. 2021, arXiv:2106.14448): cross entropy of two passes with different
    dropout, and `weight` times how far their distributions are apart (symmetric KL)."""
    source_NS, target_NT = (torch.cat([side, side]) for side in batch)
    memory_NSD, keep = network.encode(source_NS)
    hidden_NTD = network.hidden(memory_NSD, keep, _shifted(target_NT))
    real = target_NT != PAD_ID
    logits = network.logits(hidden_NTD[real]).float()
    loss = functional.cross_entropy(logits, target_NT[real], label_smoothing=smoothing)
    first, second = torch.log_softmax(logits, 1).chunk(2)
    apart = ((first.exp() - second.exp()) * (first - second)).sum(1).mean()
    return loss + weight * apart / 4


def _shifted(target_NT: Tensor) -> Tensor:
    """What the decoder has seen when it must say each target token: BOS, then the ones before."""
    return functional.pad(target_NT[:, :-1], (1, 0), value=BOS_ID)


def _stepper(network: nn.Module, settings: TranslationTraining, rounds: Sequence[int]) -> Stepper:
    """`rounds`: the epochs of each, the usual ones first."""
    matrices, others = split_parameters(network)
    slowly = settings.rate_factor
    muon = Muon(matrices, lr=slowly * settings.matrix_rate, weight_decay=settings.weight_decay)
    adam = torch.optim.AdamW(others, lr=slowly * settings.rate, betas=(0.9, 0.98), weight_decay=0.0)
    usual = warm_up_then_decay(settings.warm_up, 0.02)
    again = warm_up_then_decay(settings.warm_up, 0.02, settings.closing_peak)
    turns = [(again if turn else usual, float(epochs)) for turn, epochs in enumerate(rounds)]
    return Stepper((muon, adam), one_after_another(turns))

"""Which target tokens a sentence may need at all, known from its source tokens: a shortlist.

p(target token | source token) comes from the training pairs by expectation maximisation (IBM model
1, Brown et al. 1993). A sentence's candidates are the tokens with the largest sum of it.
V vocabulary, L likely targets of a source token, C links: a source with a target place of a pair.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

ROUNDS = 5
LIKELY = 64
LINKS_AT_ONCE = 20_000_000


@dataclass(frozen=True)
class Lexicon:
    """The likeliest targets of each source token, [V, L] twice, and each token's own share [V]."""

    targets: Ids
    chances: Floats
    shares: Floats


def learn_lexicon(sources: Sequence[Ids], targets: Sequence[Ids], vocabulary: int) -> Lexicon:
    """From pairs of sentences, as token ids."""
    table_VV = lexical_probabilities(sources, targets, vocabulary)
    likely_VL = np.argsort(-table_VV, axis=1, kind="stable")[:, :LIKELY]
    counts = np.bincount(np.concatenate(targets), minlength=vocabulary)
    chances_VL = np.take_along_axis(table_VV, likely_VL, axis=1)
    return Lexicon(likely_VL, chances_VL, (counts / counts.sum()).astype(np.float32))


def lexical_probabilities(
    sources: Sequence[Ids], targets: Sequence[Ids], vocabulary: int, rounds: int = ROUNDS
) -> Floats:
    """p(target | source), [V, V]; the row of a source token that no pair has is zero."""
    chunks = list(_chunks(sources, targets, vocabulary))
    table = np.ones(vocabulary * vocabulary, np.float32)
    for _ in range(rounds):
        counts = np.zeros(vocabulary * vocabulary)
        for cells_C, starts in chunks:
            weights_C = table[cells_C]
            totals = np.add.reduceat(weights_C, starts)
            weights_C /= np.repeat(totals, np.diff(np.append(starts, len(cells_C))))
            counts += np.bincount(cells_C, weights_C, len(counts))
        by_source_VV = counts.reshape(vocabulary, vocabulary)
        sums = np.maximum(by_source_VV.sum(axis=1, keepdims=True), 1e-9)
        table = (by_source_VV / sums).astype(np.float32).ravel()
    return table.reshape(vocabulary, vocabulary)


def _chunks(
    sources: Sequence[Ids], targets: Sequence[Ids], vocabulary: int
) -> Iterator[tuple[NDArray[np.int32], Ids]]:
    """For each link its cell source * V + target, and where each target place's links start."""
    cells: list[Ids] = []
    lengths: list[Ids] = []
    held = 0
    for source, target in zip(sources, targets, strict=True):
        cells.append((source[None] * vocabulary + target[:, None]).ravel())
        lengths.append(np.full(len(target), len(source)))
        held += cells[-1].size
        if held >= LINKS_AT_ONCE:
            yield _chunk(cells, lengths)
            cells, lengths, held = [], [], 0
    if cells:
        yield _chunk(cells, lengths)


def _chunk(cells: list[Ids], lengths: list[Ids]) -> tuple[NDArray[np.int32], Ids]:
    ends = np.cumsum(np.concatenate(lengths))
    return np.concatenate(cells).astype(np.int32), np.concatenate([[0], ends[:-1]])

"""Which target tokens a sentence may need at all, known from its source tokens: a shortlist.

Some target tokens are common to all sentences. Of the others, p(target token | source token) comes
from the training pairs by expectation maximisation (IBM model 1, Brown et al. 1993), and a
sentence's own candidates are those with the largest sum of it.
V vocabulary, F common tokens, L likely targets of a source token, C links: a source with a target
place of a pair, K kinds of them: a source with a target token.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

ROUNDS = 5
LIKELY = 32
LINKS_AT_ONCE = 20_000_000


@dataclass(frozen=True)
class Lexicon:
    """The common tokens [F] and the others [V - F], the most frequent first; of the others the
    likeliest of each source token and their chances, both [V, L], with chances of 0 at the end
    where it has fewer."""

    common: Ids
    others: Ids
    targets: Ids
    chances: Floats


def learn_lexicon(
    sources: Sequence[Ids],
    targets: Sequence[Ids],
    vocabulary: int,
    common: Sequence[int],
    count: int,
) -> Lexicon:
    """From pairs of sentences, as token ids. `count` tokens in common, first those of `common`."""
    frequency = np.bincount(np.concatenate(targets), minlength=vocabulary)
    frequency[list(common)] = frequency.max() + 1
    by_frequency = np.argsort(-frequency, kind="stable")
    shared, other = by_frequency[:count], by_frequency[count:]
    kinds, chances = lexical_probabilities(sources, targets, vocabulary)
    is_other = np.isin(kinds % vocabulary, other)
    kinds, chances = kinds[is_other], chances[is_other]
    order = np.lexsort((kinds, -chances, kinds // vocabulary))
    source, target = np.divmod(kinds[order], vocabulary)
    place = np.arange(len(source)) - np.searchsorted(source, source)
    kept = place < LIKELY
    cell = source[kept], place[kept]
    likely_VL = np.zeros((vocabulary, LIKELY), np.int64)
    chances_VL = np.zeros((vocabulary, LIKELY), np.float32)
    likely_VL[:] = np.resize(other, LIKELY)
    likely_VL[cell] = target[kept]
    chances_VL[cell] = chances[order][kept]
    return Lexicon(shared, other, likely_VL, chances_VL)


def lexical_probabilities(
    sources: Sequence[Ids], targets: Sequence[Ids], vocabulary: int, rounds: int = ROUNDS
) -> tuple[Ids, Floats]:
    """p(target | source) of each kind of link source * V + target, both [K], in rising order."""
    parts = list(_chunks(sources, targets, vocabulary))
    kinds_K = np.unique(np.concatenate([np.unique(links_C) for links_C, _ in parts]))
    chunks = [
        (np.searchsorted(kinds_K, links_C).astype(np.int32), starts) for links_C, starts in parts
    ]
    source_K = kinds_K // vocabulary
    chances_K = np.ones(len(kinds_K), np.float32)
    for _ in range(rounds):
        counts_K = np.zeros(len(kinds_K))
        for cells_C, starts in chunks:
            weights_C = chances_K[cells_C]
            totals = np.add.reduceat(weights_C, starts)
            weights_C /= np.repeat(totals, np.diff(np.append(starts, len(cells_C))))
            counts_K += np.bincount(cells_C, weights_C, len(counts_K))
        sums_V = np.bincount(source_K, counts_K, vocabulary)
        chances_K = (counts_K / sums_V[source_K]).astype(np.float32)
    return kinds_K, chances_K


def _chunks(
    sources: Sequence[Ids], targets: Sequence[Ids], vocabulary: int
) -> Iterator[tuple[Ids, Ids]]:
    """For each link its kind, and where each target place's links start."""
    links: list[Ids] = []
    lengths: list[Ids] = []
    held = 0
    for source, target in zip(sources, targets, strict=True):
        links.append((source[None] * vocabulary + target[:, None]).ravel())
        lengths.append(np.full(len(target), len(source)))
        held += links[-1].size
        if held >= LINKS_AT_ONCE:
            yield _chunk(links, lengths)
            links, lengths, held = [], [], 0
    if links:
        yield _chunk(links, lengths)


def _chunk(links: list[Ids], lengths: list[Ids]) -> tuple[Ids, Ids]:
    ends = np.cumsum(np.concatenate(lengths))
    return np.concatenate(links), np.concatenate([[0], ends[:-1]])

"""Carves validation and test rows out of training rows: deterministic by seed, fair by class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from export.datasets.rows import Labels, SentencePairs

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """Positions of the rows of each part; each part is shuffled, together they are all rows."""

    train: Indices
    validation: Indices
    test: Indices


def stratified(
    labels: Labels, *, validation: float = 0.1, test: float = 0.0, seed: int = 0
) -> Split:
    """Take these shares of every class; a class keeps one row for training at least and, where
    its size allows, gives one row at least to each part whose share is above 0."""
    generator = np.random.default_rng(seed)
    parts: tuple[list[Indices], ...] = ([], [], [])
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        validations, tests = _shares(len(rows), validation, test)
        cuts = np.split(rows, [validations, validations + tests])
        for part, rows_of_class in zip(parts, cuts, strict=True):
            part.append(rows_of_class)
    none = np.empty(0, dtype=np.int64)
    validation_rows, test_rows, train_rows = (
        generator.permutation(np.concatenate([none, *part])) for part in parts
    )
    return Split(train_rows, validation_rows, test_rows)


def _shares(rows: int, validation: float, test: float) -> tuple[int, int]:
    """How many of a class's rows go to validation and to test; both leave one for training."""
    spare = rows - 1
    validations = min(spare, max(round(rows * validation), 1)) if validation > 0 else 0
    spare -= validations
    tests = min(spare, max(round(rows * test), 1)) if test > 0 else 0
    return validations, tests


def carve_pairs(
    pairs: SentencePairs, sizes: Mapping[str, int], seed: int = 0
) -> dict[str, SentencePairs]:
    """Carve splits of about these sizes (at most a tenth each); the rest is `train`.

    All translations of a source sentence go to the same split, and `train` loses every pair of
    which either sentence, case ignored, is in a carved split.
    """
    by_source: dict[str, list[int]] = {}
    for row, sentence in enumerate(pairs.sources):
        by_source.setdefault(sentence.casefold(), []).append(row)
    groups = list(by_source.values())
    order = iter(np.random.default_rng(seed).permutation(len(groups)))
    carved: dict[str, list[int]] = {}
    for name, size in sizes.items():
        wanted = min(size, len(pairs) // 10)
        rows: list[int] = []
        while len(rows) < wanted:
            rows.extend(groups[next(order)])
        carved[name] = rows
    train = _rows_apart(pairs, [row for rows in carved.values() for row in rows])
    return {name: _named(pairs, name, rows) for name, rows in {"train": train, **carved}.items()}


def _rows_apart(pairs: SentencePairs, held_out: Sequence[int]) -> list[int]:
    """The rows that share neither sentence with those held out."""
    sources = {pairs.sources[row].casefold() for row in held_out}
    targets = {pairs.targets[row].casefold() for row in held_out}
    return [
        row
        for row, (source, target) in enumerate(zip(pairs.sources, pairs.targets, strict=True))
        if source.casefold() not in sources and target.casefold() not in targets
    ]


def _named(pairs: SentencePairs, name: str, rows: list[int]) -> SentencePairs:
    part = pairs.take(rows)
    change = {"split": name, "rows": len(rows)}
    source = tuple(origin.model_copy(update=change) for origin in pairs.source)
    return replace(part, source=source)

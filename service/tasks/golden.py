"""Compares the answers of a running model with those that were recorded when it was published."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_zoo.golden import Golden, GoldenRow
from model_zoo.manifest import Manifest
from service.tasks.base import TranslationText
from service.tasks.registry import AnyTask


@dataclass(frozen=True, slots=True)
class Deviation:
    """Largest difference of a number, and share of items with the same class or tokens."""

    max_abs_diff: float
    agreement: float


def golden_features(golden: Golden, manifest: Manifest, task: AnyTask) -> list[Any]:
    """One item, one row of features. Raises what the task raises for an item it cannot read, and
    ValueError if an item is more than one part."""
    features = []
    for raw in golden.raw_items():
        is_translated = manifest.task == "translation"
        parts = task.split(TranslationText(str(raw)) if is_translated else raw)
        if len(parts) != 1:
            raise ValueError(f"the golden item {raw!r} has {len(parts)} parts; it must have one")
        features.append(task.preprocess(parts[0]))
    return features


def golden_row(row: Any) -> GoldenRow:
    """A runner's row as it is recorded: logits, or ids and score."""
    if isinstance(row, tuple):
        ids, score, _ = row
        return GoldenRow(ids=tuple(int(token) for token in ids), score=round(float(score), 6))
    return GoldenRow(logits=tuple(round(float(value), 6) for value in row))


def deviation(expected: Sequence[GoldenRow], rows: Sequence[Any]) -> Deviation:
    """How far the rows are from what was recorded; infinitely where they cannot be compared."""
    if len(expected) != len(rows) or not rows:
        return Deviation(float("inf"), 0.0)
    gaps, same = [], 0
    for wanted, row in zip(expected, rows, strict=True):
        gap, is_same = _compare(wanted, row)
        gaps.append(gap)
        same += is_same
    return Deviation(max(gaps), same / len(rows))


def _compare(expected: GoldenRow, row: Any) -> tuple[float, bool]:
    if isinstance(row, tuple):
        ids, score, _ = row
        if expected.score is None or not np.isfinite(score):
            return float("inf"), False
        is_same = tuple(int(token) for token in ids) == expected.ids
        # the score of another sentence is no measure of arithmetic
        return (abs(float(score) - expected.score) if is_same else 0.0), is_same
    wanted = np.asarray(expected.logits)
    if wanted.shape != np.shape(row) or not np.isfinite(row).all():
        return float("inf"), False
    return float(np.abs(wanted - row).max()), int(wanted.argmax()) == int(np.argmax(row))

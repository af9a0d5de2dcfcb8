"""What a batch costs: seconds by its size and its padded length, learnt while it runs.

t(n, L) = fixed + n * row + L * step + n * L * cell, with no part below zero: n items of padded
length L pay once for the call, for each row, for each step of the longest, and for each cell of
the tensor. Four numbers can be explained, cannot overfit, and hold for shapes not seen yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Older batches fade, so that the model follows a machine that is throttled or shared.
MEMORY = 0.98
# A batch that took more than this many times what was expected counts less, by the square of it.
OUTLIER = 3.0
TRUSTED = 3  # batches before a prediction may turn anybody away
# While little is known every batch is learnt from at once; later a few are gathered first, or long
# ones of so many seconds in all: to solve takes a millisecond.
EAGER, GATHERED, GATHERED_S = 32, 64, 0.5
SINGULAR = 1e-9
GAIN = 1e-6  # of the explained part, that one more number has to add

FIXED, ROW, STEP, CELL = range(4)

Vector = NDArray[np.float64]


class Parts(NamedTuple):
    """Seconds for one call, for one row, for one step of padded length, for one cell."""

    fixed_s: float = 0.0
    row_s: float = 0.0
    step_s: float = 0.0
    cell_s: float = 0.0


class LatencyModel:
    """Learns from every batch and predicts the next. Safe for threads.

    Least squares with fading memory, so that a relative error counts the same for small and large
    batches: each is weighed by 1/t^2, where t is what was expected (what was measured would favour
    the fast ones); solved exactly over every set of parts above zero. `has_steps` where a batch is
    padded to its longest item; else an item's length is its own affair, and no part may be the
    steps of all.
    """

    def __init__(self, *, has_steps: bool = True) -> None:
        self._lock = Lock()
        self._matrix_FF = np.zeros((4, 4))
        self._vector_F = np.zeros(4)
        self._news: list[tuple[float, float, int, int]] = []  # weight, seconds, size, length
        self._gathered_s = 0.0
        self._batches = 0
        # Every set of parts, small ones first; where one size alone was seen, rows explain it,
        # which is the cautious guess.
        able = (ROW, CELL, FIXED, STEP) if has_steps else (ROW, CELL, FIXED)
        self._sets = [list(s) for k in range(1, len(able) + 1) for s in combinations(able, k)]
        self.parts = Parts()

    @property
    def trusted(self) -> bool:
        """Whether enough was measured to act on a prediction."""
        return self._batches >= TRUSTED

    @property
    def batches(self) -> int:
        """How many batches it has learnt from."""
        return self._batches

    def seconds(self, size: int, length: int) -> float:
        """What one worker needs for `size` items padded to `length`; 0.0 while nothing is known."""
        fixed_s, row_s, step_s, cell_s = self.parts
        return fixed_s + size * row_s + length * (step_s + size * cell_s)

    def measured(self, size: int, length: int, seconds: float) -> None:
        """A batch of `size` items padded to `length` took `seconds`."""
        if seconds <= 0.0:
            return
        expected_s = self.seconds(size, length) if self.trusted else seconds
        weight = 1.0 / max(expected_s, seconds / OUTLIER) ** 2
        with self._lock:
            self._news.append((weight, seconds, size, length))
            self._gathered_s += seconds
            self._batches += 1
            is_full = len(self._news) == GATHERED or self._gathered_s >= GATHERED_S
            if is_full or self._batches <= EAGER:
                self._learn()
                self.parts = _solve(self._matrix_FF, self._vector_F, self._sets)

    def _learn(self) -> None:
        """Fold in what was measured since; of B batches the last counts in full."""
        weight_B, seconds_B, size_B, length_B = np.array(self._news).T
        self._news.clear()
        self._gathered_s = 0.0
        weight_B = weight_B * MEMORY ** np.arange(len(weight_B) - 1, -1, -1)
        shape_FB = np.array([np.ones_like(size_B), size_B, length_B, size_B * length_B])
        faded = MEMORY ** len(weight_B)
        self._matrix_FF = faded * self._matrix_FF + (weight_B * shape_FB) @ shape_FB.T
        self._vector_F = faded * self._vector_F + shape_FB @ (weight_B * seconds_B)

    def table(
        self, sizes: Sequence[int], lengths: Sequence[int]
    ) -> tuple[tuple[int, int, float], ...]:
        """(size, length, predicted seconds) of each pair, for people and for metrics."""
        return tuple((n, length, self.seconds(n, length)) for n in sizes for length in lengths)


def _solve(matrix_FF: Vector, vector_F: Vector, sets: Sequence[list[int]]) -> Parts:
    """The parts of one of these sets, none below zero, that explain most; of equals the first."""
    scale_F = np.sqrt(matrix_FF.diagonal())
    a_FF = matrix_FF / np.outer(scale_F, scale_F)
    b_F = vector_F / scale_F
    best, most = Parts(), 0.0
    for chosen in sets:
        inner = a_FF[np.ix_(chosen, chosen)]
        if len(chosen) > 1 and abs(np.linalg.det(inner)) < SINGULAR:
            continue
        found = np.linalg.solve(inner, b_F[chosen])
        explained = float(found @ b_F[chosen])  # of the weighted sum of squares
        if (found >= 0.0).all() and explained > most * (1.0 + GAIN):
            parts_F = np.zeros(4)
            parts_F[chosen] = found / scale_F[chosen]
            best, most = Parts(*parts_F.tolist()), explained
    return best

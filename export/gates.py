"""The checks that may refuse a model. Each says its numbers, and fails on NaN.

They judge answers that the serving code gave: `export.candidate` runs it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import Invariance, Measurement, Parity


class GateFailed(Exception):
    """A model is not fit to be published; the message says the gate, the figure and the bound."""


class ParityFailed(GateFailed):
    """The graph does not compute what the network computes."""


class PiecesFailed(GateFailed):
    """A network that is cut does not answer as it does in one piece."""


class AccuracyFailed(GateFailed):
    """The variant is not good enough on the test split, or too much worse than fp32."""


class InvarianceFailed(GateFailed):
    """An answer depends on who shares the batch, or on padding."""


@dataclass(frozen=True)
class Answer:
    """What a gate compares: numbers (probabilities, a score), and what was chosen because of
    them (a class, the tokens of a sentence)."""

    values: NDArray[np.floating]
    choice: tuple[int, ...]


@dataclass(frozen=True)
class Difference:
    max_abs: float
    agreement: float
    items: int


def compare(expected: Sequence[Answer], got: Sequence[Answer]) -> Difference:
    """Greatest difference of the numbers, and the share of items with the same choice.

    All probabilities are compared, whatever was chosen; a lone score only where the choice is the
    same: the score of another sentence is not an error of arithmetic. A missing or non-finite
    number counts as an infinite difference, and so does having nothing to compare.
    """
    pairs = list(zip(expected, got, strict=True))
    same = [a.choice == b.choice for a, b in pairs]
    gaps = [
        gap
        for (a, b), equal in zip(pairs, same, strict=True)
        if not np.isfinite(gap := _gap(a, b)) or equal or np.size(a.values) > 1
    ]
    return Difference(max(gaps, default=np.inf), sum(same) / max(len(pairs), 1), len(pairs))


def _gap(expected: Answer, got: Answer) -> float:
    left, right = np.asarray(expected.values), np.asarray(got.values)
    comparable = left.size and left.shape == right.shape
    if not comparable or not np.isfinite([left, right]).all():
        return float("inf")
    return float(np.abs(left - right).max())


@dataclass(frozen=True)
class ParityGate:
    """Same numbers as torch on the same features."""

    tolerance: float
    agreement: float

    def check(self, variant: str, expected: Sequence[Answer], got: Sequence[Answer]) -> Parity:
        found = compare(expected, got)
        _require(
            ParityFailed,
            f"{variant}: parity with torch on {found.items} items",
            found,
            self.tolerance,
            self.agreement,
        )
        return Parity(
            max_abs_diff=found.max_abs,
            tolerance=self.tolerance,
            items=found.items,
            agreement=found.agreement,
        )


@dataclass(frozen=True)
class PiecesGate:
    """Read piece by piece and side by side, as in one piece and alone."""

    tolerance: float = 1e-4

    def check(self, variant: str, whole: Sequence[Answer], cut: Sequence[Answer]) -> Difference:
        found = compare(whole, cut)
        name = f"{variant}: reader and head against the whole graph on {found.items} items"
        _require(PiecesFailed, name, found, self.tolerance, 1.0)
        return found


@dataclass(frozen=True)
class InvarianceGate:
    """Same answer alone, in batches of several sizes, and padded by longer neighbours."""

    tolerance: float
    agreement: float
    sizes: tuple[int, ...] = (2, 7, 16)

    def check(
        self,
        variant: str,
        run: Callable[[Sequence[object]], Sequence[Answer]],
        features: Sequence[object],
    ) -> Invariance:
        # few items come again and again, so that the largest batch is really run
        items = max((len(features), *self.sizes))
        company = [*islice(cycle(features), items)]
        alone = [*islice(cycle([run([item])[0] for item in features]), items)]
        worst, agreement = 0.0, 1.0
        for size in self.sizes:
            together = [
                answer
                for start in range(0, len(company), size)
                for answer in run(company[start : start + size])
            ]
            found = compare(alone, together)
            worst, agreement = max(worst, found.max_abs), min(agreement, found.agreement)
        total = Difference(worst, agreement, len(features))
        name = f"{variant}: invariance over batches of {', '.join(map(str, self.sizes))}"
        _require(InvarianceFailed, name, total, self.tolerance, self.agreement)
        return Invariance(
            max_abs_diff=worst,
            tolerance=self.tolerance,
            items=len(features),
            agreement=agreement,
            sizes=self.sizes,
        )


@dataclass(frozen=True)
class Floor:
    """The least value of one figure, and how far another variant may fall below fp32."""

    dataset: str
    metric: str
    at_least: float
    largest_loss: float


def better_than_guessing(labels: NDArray[np.int64], factor: float) -> float:
    """So many times the share of the most frequent class, but no more than halfway to perfect:
    where one class is frequent, nothing is that many times as good."""
    guess = float(np.bincount(labels).max() / len(labels))
    return min(factor * guess, (1 + guess) / 2)


@dataclass(frozen=True)
class AccuracyGate:
    """Every floor is measured, reached, and nearly reached by fp32's own figure."""

    floors: tuple[Floor, ...]

    def check(
        self, variant: str, measured: Sequence[Measurement], reference: Sequence[Measurement]
    ) -> tuple[Measurement, ...]:
        for floor in self.floors:
            value, best = _value(measured, floor), _value(reference, floor)
            what = f"{variant}: {floor.metric} on {floor.dataset} is {value:.4g}"
            if not value >= floor.at_least:
                raise AccuracyFailed(f"{what}, at least {floor.at_least:.4g} is asked for")
            if not value >= best - floor.largest_loss:
                raise AccuracyFailed(
                    f"{what}, fp32 reaches {best:.4g}; it may lose {floor.largest_loss:.4g}"
                )
        return tuple(measured)


def _value(measured: Sequence[Measurement], floor: Floor) -> float:
    for figure in measured:
        if (figure.dataset, figure.metric) == (floor.dataset, floor.metric):
            return figure.value
    raise AccuracyFailed(f"{floor.metric} on {floor.dataset} was not measured")


def _require(
    kind: type[GateFailed], name: str, found: Difference, tolerance: float, agreement: float
) -> None:
    if not found.max_abs <= tolerance:  # NaN must fail, hence not '>'
        raise kind(f"{name}: numbers differ by {found.max_abs:.2e}, allowed {tolerance:.2e}")
    if not found.agreement >= agreement:
        raise kind(f"{name}: {found.agreement:.2%} the same answer, at least {agreement:.2%} asked")

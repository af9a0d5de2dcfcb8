"""What a classifier's logits are divided by, and how that goes with the length of a text.

N items, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.calibration import Floats, Labels, logsumexp
from model_zoo.evidence import REFERENCE_TOKENS, Evidence

COLDEST, HOTTEST = 0.05, 20.0
STEEPEST, GRID, USUAL_SLOPE = 1.0, 21, 0.2
SEARCH_STEPS, REFINING_STEPS = 60, 12
DIGITS = 4


@dataclass(frozen=True, slots=True)
class Temperature:
    """`value` x (tokens / 100) ^ `exponent`: above 0 whatever the length, and the same for all
    where the exponent is 0."""

    value: float
    exponent: float = 0.0

    def of(self, tokens: Floats | None) -> Floats:
        """Of items of so many tokens each, [N]; of anything without a length, [1]."""
        if tokens is None:
            return np.array([self.value])
        powers: Floats = (tokens / REFERENCE_TOKENS) ** self.exponent
        return self.value * powers

    def __str__(self) -> str:
        if not self.exponent:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} · (tokens / {REFERENCE_TOKENS}) ^ {self.exponent:.3f}"


@dataclass(frozen=True)
class Judged:
    """Logits of one data set's items, their labels and, of texts, their lengths in tokens."""

    logits_NK: Floats
    labels: Labels
    tokens: Floats | None = None


def temperature_of(evidence: Evidence) -> Temperature | None:
    """The one that lies in a variant's graph."""
    if evidence.temperature is None:
        return None
    return Temperature(evidence.temperature, evidence.length_exponent or 0.0)


def token_counts(features: Sequence[Any]) -> Floats | None:
    """Tokens that the network sees of each item, [N]; None for pictures."""
    if not all(hasattr(one, "ids") for one in features):
        return None
    return np.array([len(one.ids) for one in features], np.float64)


def fit_temperature(parts: Sequence[Judged]) -> Temperature:
    """The one of least negative log-likelihood (arXiv:1706.04599), every data set counting the
    same.

    Lengths are minded where that gains more than one parameter does by chance (Akaike 1974), steep
    exponents being less probable beforehand than flat ones.
    """
    value, plain = _best_value(parts, 0.0)
    if any(part.tokens is None for part in parts):
        return Temperature(value)
    items = sum(len(part.labels) for part in parts)

    def cost(exponent: float) -> float:
        return items * _best_value(parts, exponent)[1] + (exponent / USUAL_SLOPE) ** 2 / 2

    exponent = _lowest(cost)
    if items * plain - cost(exponent) <= 1:
        return Temperature(value)
    return Temperature(_best_value(parts, exponent)[0], exponent)


def _lowest(cost: Callable[[float], float]) -> float:
    """A grid finds the valley, thirds its ground."""
    grid = np.linspace(-STEEPEST, STEEPEST, GRID)
    place = int(np.argmin([cost(exponent) for exponent in grid]))
    low, high = float(grid[max(place - 1, 0)]), float(grid[min(place + 1, GRID - 1)])
    for _ in range(REFINING_STEPS):
        third = (high - low) / 3
        left, right = low + third, high - third
        if cost(left) < cost(right):
            high = right
        else:
            low = left
    return round((low + high) / 2, DIGITS)


def _best_value(parts: Sequence[Judged], exponent: float) -> tuple[float, float]:
    """The value that suits this exponent, and the loss with both.

    With the exponent given the loss is convex in 1 / value, hence a ternary search.
    """
    levelled = [
        (part.logits_NK / Temperature(1.0, exponent).of(part.tokens)[:, None], part.labels)
        for part in parts
    ]

    def loss(inverse: float) -> float:
        return float(np.mean([_loss(logits * inverse, labels) for logits, labels in levelled]))

    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(SEARCH_STEPS):
        third = (high - low) / 3
        left, right = low + third, high - third
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    value = round(2 / (low + high), DIGITS)
    return value, loss(1 / value)


def _loss(logits_NK: Floats, labels: Labels) -> float:
    return float((logsumexp(logits_NK) - logits_NK[np.arange(len(labels)), labels]).mean())

"""What a classifier's logits are divided by, how that goes with the length of a text, and how much
label smoothing is taken off them first.

N items, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from export.calibration import Floats, Labels, logsumexp
from export.smoothing import smoothed, unsmoothed
from model_zoo.evidence import REFERENCE_TOKENS, Evidence

COLDEST, HOTTEST = 0.05, 20.0
STEEPEST, USUAL_SLOPE = 1.0, 0.2
MOST_SMOOTHED, USUAL_SMOOTHING = 0.4, 0.1
GRID = 21
SEARCH_STEPS, REFINING_STEPS = 30, 12
DIGITS = 4


@dataclass(frozen=True, slots=True)
class Temperature:
    """`value` x (tokens / 100) ^ `exponent`: above 0 whatever the length, and the same for all
    where the exponent is 0; the share `smoothing` is taken off before."""

    value: float
    exponent: float = 0.0
    smoothing: float = 0.0

    def of(self, tokens: Floats | None) -> Floats:
        """Of items of so many tokens each, [N]; of anything without a length, [1]."""
        if tokens is None:
            return np.array([self.value])
        powers: Floats = (tokens / REFERENCE_TOKENS) ** self.exponent
        return self.value * powers

    def applied(self, logits_NK: Floats, tokens: Floats | None) -> Floats:
        """A network's logits as the variant's graph gives them."""
        divided: Floats = unsmoothed(logits_NK, self.smoothing) / self.of(tokens)[:, None]
        return divided

    def undone(self, logits_NK: Floats, tokens: Floats | None) -> Floats:
        """The network's own, from those of the graph."""
        return smoothed(logits_NK * self.of(tokens)[:, None], self.smoothing)

    def __str__(self) -> str:
        told = f"{self.value:.3f}"
        if self.exponent:
            told += f" · (tokens / {REFERENCE_TOKENS}) ^ {self.exponent:.3f}"
        if self.smoothing:
            told += f" after a smoothing of {self.smoothing:.3f} is taken off"
        return told


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
    return Temperature(
        evidence.temperature, evidence.length_exponent or 0.0, evidence.smoothing or 0.0
    )


def token_counts(features: Sequence[Any]) -> Floats | None:
    """Tokens that the network sees of each item, [N]; None for pictures."""
    if not all(hasattr(one, "ids") for one in features):
        return None
    return np.array([len(one.ids) for one in features], np.float64)


def fit_temperature(parts: Sequence[Judged]) -> Temperature:
    """The one of least negative log-likelihood (arXiv:1706.04599), every data set counting the
    same.

    Smoothing is taken off, and lengths are minded, where that gains more than one parameter does by
    chance (Akaike 1974), much of either being less probable beforehand than little.
    """
    items = sum(len(part.labels) for part in parts)

    def cost_of_smoothing(share: float) -> float:
        loss = _best_value(_unsmoothed(parts, share), 0.0)[1]
        return items * loss + (share / USUAL_SMOOTHING) ** 2 / 2

    smoothing = _worthwhile(cost_of_smoothing, 0.0, MOST_SMOOTHED)
    clear = _unsmoothed(parts, smoothing)
    if any(part.tokens is None for part in parts):
        return Temperature(_best_value(clear, 0.0)[0], smoothing=smoothing)

    def cost_of_slope(exponent: float) -> float:
        return items * _best_value(clear, exponent)[1] + (exponent / USUAL_SLOPE) ** 2 / 2

    exponent = _worthwhile(cost_of_slope, -STEEPEST, STEEPEST)
    return Temperature(_best_value(clear, exponent)[0], exponent, smoothing)


def _worthwhile(cost: Callable[[float], float], least: float, most: float) -> float:
    """Where the cost is lowest; 0 unless that saves more than 1."""
    found = _lowest(cost, least, most)
    return found if cost(0.0) - cost(found) > 1 else 0.0


def _unsmoothed(parts: Sequence[Judged], share: float) -> list[Judged]:
    return [replace(part, logits_NK=unsmoothed(part.logits_NK, share)) for part in parts]


def _lowest(cost: Callable[[float], float], least: float, most: float) -> float:
    """A grid finds the valley, thirds its ground."""
    grid = np.linspace(least, most, GRID)
    place = int(np.argmin([cost(point) for point in grid]))
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

    With the exponent given the loss is convex in 1 / value and so has one valley in its logarithm,
    hence a ternary search.
    """
    levelled = [
        (part.logits_NK / Temperature(1.0, exponent).of(part.tokens)[:, None], part.labels)
        for part in parts
    ]

    def loss(logarithm: float) -> float:
        value = np.exp(logarithm)
        return float(np.mean([_loss(logits / value, labels) for logits, labels in levelled]))

    low, high = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(SEARCH_STEPS):
        third = (high - low) / 3
        left, right = low + third, high - third
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    value = round(float(np.exp((low + high) / 2)), DIGITS)
    return value, loss(np.log(value))


def _loss(logits_NK: Floats, labels: Labels) -> float:
    return float((logsumexp(logits_NK) - logits_NK[np.arange(len(labels)), labels]).mean())

"""Makes probabilities honest: one temperature, and how far the answers are from the truth.

N items, K classes.
"""

import numpy as np
from numpy.typing import NDArray

from export.plots import calibration_error
from model_zoo.evidence import ConfidenceScores

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

COLDEST, HOTTEST = 0.05, 20.0
SEARCH_STEPS = 60
RARE = 1e-12  # a probability of nothing at all would make one item's loss infinite


def fit_temperature(logits_NK: Floats, labels: Labels) -> float:
    """What logits must be divided by for the least negative log-likelihood (arXiv:1706.04599).

    The loss is convex in 1 / temperature, hence a ternary search.
    """
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(SEARCH_STEPS):
        third = (high - low) / 3
        left, right = low + third, high - third
        if _loss(logits_NK * left, labels) < _loss(logits_NK * right, labels):
            high = right
        else:
            low = left
    return round(2 / (low + high), 4)


def confidence_scores(probabilities_NK: Floats, labels: Labels) -> ConfidenceScores:
    """Calibration error over 15 bins, negative log-likelihood and Brier score."""
    truth_NK = np.eye(probabilities_NK.shape[1])[labels]
    of_truth = np.maximum(probabilities_NK[np.arange(len(labels)), labels], RARE)
    return ConfidenceScores(
        ece=calibration_error(probabilities_NK, labels),
        nll=float(-np.log(of_truth).mean()),
        brier=float(((probabilities_NK - truth_NK) ** 2).sum(axis=1).mean()),
    )


def softmax(logits_NK: Floats) -> Floats:
    """Probabilities, row by row."""
    return np.exp(logits_NK - logsumexp(logits_NK)[:, None])


def logsumexp(logits_NK: Floats) -> Floats:
    """Of each row; its negative is the energy."""
    highest = logits_NK.max(axis=1)
    total: Floats = highest + np.log(np.exp(logits_NK - highest[:, None]).sum(axis=1))
    return total


def softened(probabilities: NDArray[np.floating], temperature: float) -> Floats:
    """What these probabilities (last axis) are when their logits are divided by `temperature`."""
    logits = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return result


def auroc(known: Floats, strange: Floats) -> float:
    """Chance that a strange item's score is above a known one's; ties count half."""
    scores = np.concatenate([known, strange])
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    ranks = (last - (counts - 1) / 2)[inverse]
    rank_sum = ranks[len(known) :].sum()
    n, m = len(known), len(strange)
    return float((rank_sum - m * (m + 1) / 2) / (n * m))


def _loss(logits_NK: Floats, labels: Labels) -> float:
    return float((logsumexp(logits_NK) - logits_NK[np.arange(len(labels)), labels]).mean())

"""How honest probabilities are, and how well a score tells strange items from known ones.

N items, K classes.
"""

import numpy as np
from numpy.typing import NDArray

from export.plots import calibration_error
from model_zoo.evidence import ConfidenceScores

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

RARE = 1e-12  # a probability of nothing at all would make one item's loss infinite


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


def auroc(known: Floats, strange: Floats) -> float:
    """Chance that a strange item's score is above a known one's; ties count half."""
    scores = np.concatenate([known, strange])
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    ranks = (last - (counts - 1) / 2)[inverse]
    rank_sum = ranks[len(known) :].sum()
    n, m = len(known), len(strange)
    return float((rank_sum - m * (m + 1) / 2) / (n * m))

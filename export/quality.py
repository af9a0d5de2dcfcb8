"""Learns to foresee the quality of a translation: which features, and their weights.

N sentences, F features.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model_zoo.self_knowledge import QualityEstimate, QualityFeature, QualityTerm
from service.tasks.quality import FEATURES, Translated

Floats = NDArray[np.float64]

FOLDS = 5
WORTH = 0.003  # of correlation, for which one more feature is taken
RIDGE = 1.0
NEWTON_STEPS = 25
DIGITS = 6


def fit_quality(found: Sequence[Translated], scores: Floats) -> QualityEstimate | None:
    """Features chosen one by one by what they add to the correlation with `scores` (0 to 1) on
    folds that were not fitted; None where none of them says anything."""
    table = {name: np.array([measure(one) for one in found]) for name, measure in FEATURES.items()}
    chosen: list[QualityFeature] = []
    best = 0.0
    while len(chosen) < len(table):
        trials = {
            name: _foreseen(np.stack([table[n] for n in (*chosen, name)], axis=1), scores)
            for name in table
            if name not in chosen
        }
        name = max(trials, key=lambda one: trials[one])
        if trials[name] < best + WORTH:
            break
        chosen.append(name)
        best = trials[name]
    if not chosen:
        return None
    weights = _fit(np.stack([table[name] for name in chosen], axis=1), scores)
    terms = zip(chosen, weights[1:].tolist(), strict=True)
    return QualityEstimate(
        bias=round(float(weights[0]), DIGITS),
        terms=tuple(QualityTerm(feature=f, weight=round(w, DIGITS)) for f, w in terms),
    )


def pearson(left: Floats, right: Floats) -> float:
    """Correlation of the values; 0 where one of them never changes."""
    if left.std() < 1e-12 or right.std() < 1e-12:
        return 0.0
    return float(np.corrcoef(left, right)[0, 1])


def spearman(left: Floats, right: Floats) -> float:
    """Correlation of the ranks, ties sharing theirs."""
    return pearson(_ranks(left), _ranks(right))


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (counts.cumsum() - (counts - 1) / 2)[inverse]
    return ranks


def _foreseen(features_NF: Floats, scores: Floats) -> float:
    fold = np.arange(len(scores)) % FOLDS
    guesses = np.zeros(len(scores))
    for held_out in range(FOLDS):
        here = fold == held_out
        guesses[here] = _predict(_fit(features_NF[~here], scores[~here]), features_NF[here])
    return pearson(guesses, scores)


def _fit(features_NF: Floats, scores: Floats) -> Floats:
    """Bias and weights of a logistic regression on soft targets, by Newton's method."""
    mean, spread = features_NF.mean(axis=0), features_NF.std(axis=0) + 1e-9
    spread = np.where(spread < 1e-6, 1.0, spread)  # what never changes gets no weight to speak of
    inputs = np.column_stack([np.ones(len(scores)), (features_NF - mean) / spread])
    ridge = RIDGE * np.eye(inputs.shape[1])
    ridge[0, 0] = 0.0
    weights = np.zeros(inputs.shape[1])
    for _ in range(NEWTON_STEPS):
        guess = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (guess - scores) + ridge @ weights
        curvature = inputs.T @ (inputs * (guess * (1 - guess))[:, None]) + ridge
        weights = weights - np.linalg.solve(curvature, slope)
    plain = weights[1:] / spread
    return np.concatenate([[weights[0] - plain @ mean], plain])


def _predict(weights: Floats, features_NF: Floats) -> Floats:
    result: Floats = 1 / (1 + np.exp(-(weights[0] + features_NF @ weights[1:])))
    return result

"""From a classifier's row of logits to probabilities, and whether to trust them."""

import math

import numpy as np
from numpy.typing import NDArray

from model_zoo.self_knowledge import Confidence
from service.errors import InferenceFailed

FEW_CLASSES = 64  # up to here plain Python is faster than five calls of numpy
NO_NUMBERS = "The model gave scores that are no numbers."


def softmax(logits_K: NDArray[np.floating], classes: int) -> NDArray[np.float64]:
    """Probabilities, [K]; InferenceFailed when there are not `classes` of them, all finite."""
    if logits_K.shape != (classes,):
        raise InferenceFailed(f"The model gave {logits_K.shape} scores for {classes} labels.")
    if classes <= FEW_CLASSES:
        return _softmax_of_few(logits_K.tolist())
    if not np.isfinite(logits_K).all():
        raise InferenceFailed(NO_NUMBERS)
    weights_K = np.exp(logits_K - logits_K.max(), dtype=np.float64)
    probabilities_K: NDArray[np.float64] = weights_K / weights_K.sum()
    return probabilities_K


def _softmax_of_few(logits: list[float]) -> NDArray[np.float64]:
    if not all(map(math.isfinite, logits)):
        raise InferenceFailed(NO_NUMBERS)
    highest = max(logits)
    weights = [math.exp(logit - highest) for logit in logits]
    total = sum(weights)
    return np.array([weight / total for weight in weights])


def energy(logits_K: NDArray[np.floating], highest_probability: float) -> float:
    """-logsumexp of the logits, which are those of that highest probability (arXiv:2010.03759)."""
    return math.log(highest_probability) - float(logits_K.max())


def is_uncertain(
    logits_K: NDArray[np.floating], highest_probability: float, confidence: Confidence | None
) -> bool | None:
    """Whether the model has seen too little like this to be sure; None if it cannot tell."""
    if confidence is None:
        return None
    return energy(logits_K, highest_probability) > confidence.max_energy

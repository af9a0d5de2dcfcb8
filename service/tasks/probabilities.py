"""From a classifier's row of logits to probabilities, and whether to trust them."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_zoo.self_knowledge import Confidence
from service.errors import InferenceFailed

FEW_CLASSES = 64  # up to here plain Python is faster than a few calls of numpy, above all when cold
NO_NUMBERS = "The model gave scores that are no numbers."


class Probabilities(NamedTuple):
    """The probability of each class, and the highest of the logits that they come from."""

    of_each: list[float]
    highest_logit: float


def softmax(logits_K: NDArray[np.floating], classes: int) -> Probabilities:
    """InferenceFailed when there are not `classes` logits, [K], all finite."""
    if logits_K.shape != (classes,):
        raise InferenceFailed(f"The model gave {logits_K.shape} scores for {classes} labels.")
    if classes <= FEW_CLASSES:
        return _softmax_of_few(logits_K.tolist())
    if not np.isfinite(logits_K).all():
        raise InferenceFailed(NO_NUMBERS)
    highest = float(logits_K.max())
    weights_K = np.exp(logits_K - highest, dtype=np.float64)
    return Probabilities((weights_K / weights_K.sum()).tolist(), highest)


def _softmax_of_few(logits: list[float]) -> Probabilities:
    if not all(map(math.isfinite, logits)):
        raise InferenceFailed(NO_NUMBERS)
    highest = max(logits)
    weights = [math.exp(logit - highest) for logit in logits]
    total = sum(weights)
    return Probabilities([weight / total for weight in weights], highest)


def energy(highest_logit: float, highest_probability: float) -> float:
    """-logsumexp of the logits of which these are the highest (arXiv:2010.03759)."""
    return math.log(highest_probability) - highest_logit


def is_uncertain(
    highest_logit: float, highest_probability: float, confidence: Confidence | None
) -> bool | None:
    """Whether the model has seen too little like this to be sure; None if it cannot tell."""
    if confidence is None:
        return None
    return energy(highest_logit, highest_probability) > confidence.max_energy

"""From a classifier's row of logits to probabilities."""

import numpy as np
from numpy.typing import NDArray

from service.errors import InferenceFailed


def softmax(logits_K: NDArray[np.floating], classes: int) -> NDArray[np.float64]:
    """Probabilities, [K]; InferenceFailed when there are not `classes` of them, all finite."""
    if logits_K.shape != (classes,):
        raise InferenceFailed(f"The model gave {logits_K.shape} scores for {classes} labels.")
    if not np.isfinite(logits_K).all():
        raise InferenceFailed("The model gave scores that are no numbers.")
    weights_K = np.exp(logits_K - logits_K.max(), dtype=np.float64)
    probabilities_K: NDArray[np.float64] = weights_K / weights_K.sum()
    return probabilities_K

"""Takes label smoothing off a classifier's logits again, and puts it back.

Trained towards labels of which a share s is spread over all K classes (arXiv:1512.00567, section
7), a network learns p = (1 - s) q + s / K where q would have been honest; so does one that learns
from such a network. Taking s / K off each probability gives q but for a factor. Noise carries some
p below s / K, and there a hyperbola bends the difference so that it stays above 0:
u(p) = (d + sqrt(d^2 + b^2)) / 2 with d = p - s / K and b = BEND s / K.

N items, K classes.
"""

import numpy as np

from export.calibration import RARE, Floats, logsumexp, softmax

BEND = 0.2  # of all bends tried on validation data of four networks, the one of least loss


def level_of(share: float, classes: int) -> float:
    """The probability that each class has of this share, s / K."""
    return share / classes


def unsmoothed(logits_NK: Floats, share: float) -> Floats:
    """logsumexp(z) + log u(softmax(z)): those of share 0 come back as they are, and with them the
    energy."""
    if not share:
        return logits_NK
    level = level_of(share, logits_NK.shape[1])
    above_NK = softmax(logits_NK) - level
    kept_NK: Floats = (above_NK + np.sqrt(above_NK**2 + (BEND * level) ** 2)) / 2
    return np.log(kept_NK) + logsumexp(logits_NK)[:, None]


def smoothed(logits_NK: Floats, share: float) -> Floats:
    """What `unsmoothed` was given: u(p) = x has the one answer p = x + s / K - (b / 2)^2 / x, and
    all p add up to 1, which gives the scale of x."""
    if not share:
        return logits_NK
    level = level_of(share, logits_NK.shape[1])
    bent = (BEND * level / 2) ** 2
    highest_N1 = logits_NK.max(axis=1, keepdims=True)
    powers_NK = np.exp(logits_NK - highest_N1)
    total_N1 = powers_NK.sum(axis=1, keepdims=True)
    inverse_N1 = (1 / powers_NK).sum(axis=1, keepdims=True)
    rest = 1 - share
    scale_N1 = 2 * total_N1 / (rest + np.sqrt(rest**2 + 4 * bent * total_N1 * inverse_N1))
    kept_NK = powers_NK / scale_N1
    probabilities_NK: Floats = np.maximum(kept_NK + level - bent / kept_NK, RARE)
    return np.log(probabilities_NK) + np.log(scale_N1) + highest_N1

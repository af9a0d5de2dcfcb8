"""How good a translated sentence probably is, from what decoding left behind; no model is run.

The features are defined here once: the fit in `export` and the server's answers share them.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from model_zoo.self_knowledge import QualityEstimate, QualityFeature

_WORDS = re.compile(r"\w+")
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Translated:
    """A sentence and its translation; `log_probability` is the mean of its tokens'."""

    source: str
    source_tokens: int
    target: str
    target_ids: Sequence[int]
    log_probability: float
    finished: bool


def quality(estimate: QualityEstimate, found: Translated) -> float:
    """The expected quality, 0 to 1."""
    value = estimate.bias
    for term in estimate.terms:
        value += term.weight * FEATURES[term.feature](found)
    # a sentence far from all that the weights were fitted on must not overflow
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, value))))


def _log_token_ratio(found: Translated) -> float:
    # both ends of sentence count, so that nothing is ever empty
    return math.log((len(found.target_ids) + 1) / max(found.source_tokens, 1))


def _log_character_ratio(found: Translated) -> float:
    return math.log((len(found.target) + 1) / (len(found.source) + 1))


def _copied_words(found: Translated) -> float:
    words = _WORDS.findall(found.target.lower())
    known = set(_WORDS.findall(found.source.lower()))
    return sum(word in known for word in words) / max(len(words), 1)


def _repeated_pairs(found: Translated) -> float:
    pairs = list(pairwise(found.target_ids))
    return 1 - len(set(pairs)) / len(pairs) if pairs else 0.0


def _covered_numbers(found: Translated) -> float:
    asked = _NUMBERS.findall(found.source)
    given = set(_NUMBERS.findall(found.target))
    return sum(number in given for number in asked) / len(asked) if asked else 1.0


FEATURES: dict[QualityFeature, Callable[[Translated], float]] = {
    "log_probability": lambda found: found.log_probability,
    "log_source_tokens": lambda found: math.log(max(found.source_tokens, 1)),
    "log_token_ratio": _log_token_ratio,
    "log_character_ratio": _log_character_ratio,
    "copied_words": _copied_words,
    "repeated_pairs": _repeated_pairs,
    "covered_numbers": _covered_numbers,
    "unfinished": lambda found: float(not found.finished),
}

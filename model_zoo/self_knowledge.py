"""What a model knows of its own limits: when it is unsure, and how to tell that it runs wrongly."""

from typing import Annotated, Literal

from pydantic import Field

from model_zoo.fields import FileName, Fraction, Frozen, NonNegative, Positive

# What a quality estimate may look at; service/tasks/quality.py says how each is measured.
QualityFeature = Literal[
    "log_probability",
    "log_source_tokens",
    "log_token_ratio",
    "log_character_ratio",
    "copied_words",
    "repeated_pairs",
    "covered_numbers",
    "unfinished",
]


class SelfTest(Frozen):
    """The items in `file` must give this variant's recorded answers before it may serve.

    `tolerance` is the largest difference of a logit (for a translation: of the score, where the
    tokens are the same), `agreement` the least share of items with the same class or tokens.
    """

    file: FileName
    items: Positive
    tolerance: NonNegative
    agreement: Fraction


class Confidence(Frozen):
    """An answer whose energy, -logsumexp of its logits, is above `max_energy` is uncertain;
    `accepted` is the share of validation items below it."""

    max_energy: float
    accepted: Fraction


class QualityTerm(Frozen):
    """One feature of a translated sentence and its weight."""

    feature: QualityFeature
    weight: float


class QualityEstimate(Frozen):
    """A translation's expected quality, 0 to 1: sigmoid(bias + sum of weight x feature)."""

    bias: float
    terms: Annotated[tuple[QualityTerm, ...], Field(min_length=1)]

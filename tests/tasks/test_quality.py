import math

import pytest

from model_zoo.self_knowledge import QualityEstimate, QualityFeature, QualityTerm
from service.tasks.quality import FEATURES, Translated, quality

PLAIN = Translated("one two 3", 4, "eins zwei 3", [7, 8, 9], -0.5, True)


def of(**changes: object) -> Translated:
    values = {name: getattr(PLAIN, name) for name in Translated.__slots__}
    return Translated(**{**values, **changes})


@pytest.mark.parametrize(
    ("feature", "found", "value"),
    [
        ("log_probability", PLAIN, -0.5),
        ("log_source_tokens", PLAIN, math.log(4)),
        ("log_token_ratio", PLAIN, 0.0),
        ("log_character_ratio", PLAIN, math.log(12 / 10)),
        ("copied_words", PLAIN, 1 / 3),
        ("copied_words", of(target="Two ONE"), 1.0),
        ("repeated_pairs", PLAIN, 0.0),
        ("repeated_pairs", of(target_ids=[5, 6, 5, 6, 5]), 0.5),
        ("covered_numbers", PLAIN, 1.0),
        ("covered_numbers", of(target="eins zwei 4"), 0.0),
        ("covered_numbers", of(source="no number"), 1.0),
        ("unfinished", PLAIN, 0.0),
        ("unfinished", of(finished=False), 1.0),
    ],
)
def test_each_feature_is_what_its_name_says(
    feature: QualityFeature, found: Translated, value: float
) -> None:
    assert FEATURES[feature](found) == pytest.approx(value)


@pytest.mark.parametrize("feature", FEATURES)
def test_nothing_at_all_can_be_measured_too(feature: QualityFeature) -> None:
    assert math.isfinite(FEATURES[feature](Translated("", 1, "", [], -9.0, False)))


def test_quality_is_the_sigmoid_of_the_weighted_sum() -> None:
    terms = (
        QualityTerm(feature="log_probability", weight=2.0),
        QualityTerm(feature="unfinished", weight=-3.0),
    )
    estimate = QualityEstimate(bias=1.0, terms=terms)
    assert quality(estimate, PLAIN) == pytest.approx(0.5)
    assert quality(estimate, of(finished=False)) == pytest.approx(1 / (1 + math.exp(3)))


def test_weights_beyond_all_reason_do_not_overflow() -> None:
    huge = QualityEstimate(bias=0, terms=(QualityTerm(feature="log_probability", weight=1e9),))
    assert quality(huge, PLAIN) == pytest.approx(0, abs=1e-9)
    assert quality(huge, of(log_probability=1.0)) == pytest.approx(1)

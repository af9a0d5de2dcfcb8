"""The card's pages on doubt, foresight, self-test and time."""

from typing import Any

from export.doubts import SEVEN_BITS
from export.report import Table, model_card
from tests.export.test_report import DIGEST, TEXT, manifest, measurement, variant

SCORES = {"ece": 0.1915, "nll": 0.4611, "brier": 0.1813}
BETTER = {"ece": 0.0052, "nll": 0.28, "brier": 0.1306}
DOUBT: dict[str, Any] = {
    "temperature": 0.505,
    "calibration": [
        {
            "dataset": "CIFAR-10",
            "split": "test",
            "items": 10000,
            "before": SCORES,
            "after": BETTER,
            "uncertain": 0.058,
        }
    ],
    "strangers": [
        {
            "name": "uniform noise",
            "items": 1000,
            "auroc_energy": 0.937,
            "auroc_confidence": 0.867,
            "uncertain": 0.468,
        }
    ],
    "timing": {
        "machine": "a core",
        "runs": [{"batch": 1, "milliseconds": 0.8}, {"batch": 8, "milliseconds": 4.0}],
    },
}


def humble_card(**changes: Any) -> str:
    golden = {"file": "golden.json", "items": 8, "tolerance": 0.05, "agreement": 1.0}
    int8 = {**variant("int8", **DOUBT), "self_test": golden}
    files = [{"file": "golden.json", "bytes": 1, "sha256": DIGEST}]
    fields = {
        "variants": [int8],
        "files": files,
        "confidence": {"max_energy": -3.871, "accepted": 0.95},
        **changes,
    }
    return model_card(manifest(**fields), TEXT)


def test_calibration_is_told_before_and_after() -> None:
    row = "| int8 | CIFAR-10 test (10,000) | 19.15 → 0.52 % | 0.4611 → 0.2800 | 0.1813 → 0.1306 |"
    assert row in humble_card()


def test_the_temperature_is_told_and_how_it_goes_with_the_length() -> None:
    assert "divided by a temperature, 0.505 (int8), inside" in humble_card()
    smooth = {**variant("int8", **DOUBT, smoothing=0.126)}
    told = "0.505 after a smoothing of 0.126 is taken off (int8), inside"
    assert told in humble_card(variants=[smooth])
    assert "spread over all classes" in humble_card(variants=[smooth])
    assert "spread over all classes" not in humble_card()
    of_lengths = {**variant("int8", **DOUBT, length_exponent=-0.08)}
    assert "0.505 · (tokens / 100) ^ -0.080 (int8)" in humble_card(variants=[of_lengths])


def test_strangers_are_told_with_both_scores() -> None:
    card = humble_card()
    assert "| int8 | uniform noise (1,000) | 0.937 | 0.867 | 46.8 % |" in card
    assert "above -3.871, which 95% of the validation data are not" in card


def test_the_self_test_and_the_cost_of_seven_bits_are_told() -> None:
    card = humble_card()
    assert "| int8 | 8 | 0.05 | 100% |" in card
    assert SEVEN_BITS in card


def test_time_is_told_by_batch_in_both_units() -> None:
    assert "| 8 |  | 4.00 | 2,000 |" in humble_card()


def test_a_model_that_was_not_asked_has_none_of_these_pages() -> None:
    card = model_card(manifest(), TEXT)
    for title in ("confidence honest", "does not know", "bad translation", "Self-test", "## Time"):
        assert title not in card


def test_what_int8_loses_stands_beside_its_figure() -> None:
    lost = {**measurement(0.9112), "below_fp32": 0.0015}
    both = [variant("fp32", accuracy=[measurement(0.9127)]), variant("int8", accuracy=[lost])]
    assert "| 91.27 % | 91.12 % (-0.15) |" in model_card(manifest(variants=both), TEXT)


def test_tables_of_the_recipe_and_its_failures_join_the_card() -> None:
    by_class = Table("By class", ("Class", "Found"), [("cat", "80 %")], "Test split.")
    failures = Table("Known failures", ("Text", "Answer"), [("a | b", "wrong")])
    card = model_card(manifest(), TEXT, tables=[by_class], failures=failures)
    assert "## By class\n\nTest split.\n\n| Class | Found |" in card
    assert card.index("## Known limits") < card.index("## Known failures")
    assert r"| a \| b | wrong |" in card

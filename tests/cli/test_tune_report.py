"""The page that says why settings were chosen."""

from service.cli.tune_report import markdown
from service.load.tuning import Trial, Tuning

START = Trial({"threads": 1}, {"classify": 100.0, "translate": 20.0}, 1.0)
BETTER = Trial({"threads": 2}, {"classify": 150.0, "translate": 40.0}, 1.7321)


def page(tuning: Tuning) -> str:
    return markdown(tuning, START.settings, "slipway tune", 200.0, 0.99)


def test_it_shows_every_trial_and_marks_the_chosen_one() -> None:
    text = page(Tuning([START, BETTER], BETTER, [(START, BETTER)]))
    assert "| threads | classify | translate | score |" in text
    assert "| 1 | 100 | 20 | 1.000 |" in text
    assert "| 2 | 150 | 40 | **1.732** |" in text
    assert "`threads = 2` (was 1)" in text
    assert "+73.2%" in text
    assert "0.99 of all requests answered within 200 ms" in text


def test_a_rate_has_no_exponent() -> None:
    quick = Trial({"threads": 1}, {"classify": 10_432.4, "translate": 20.0}, 1.0)
    assert "| 1 | 10432 | 20 | **1.000** |" in page(Tuning([quick], quick))


def test_it_says_when_nothing_was_better() -> None:
    text = page(Tuning([START, BETTER], START))
    assert "Nothing tried was better" in text
    assert "Checked" not in text


def test_a_start_that_failed_has_no_gain_to_tell() -> None:
    failed = Trial({"threads": 1}, {"classify": 0.0, "translate": 20.0}, 0.0)
    assert "| 0.000 | 1.732 | - |" in page(Tuning([failed], failed, [(failed, BETTER)]))

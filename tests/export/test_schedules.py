"""How rates go along a training."""

import pytest

from export.training import (
    one_after_another,
    warm_up_then_decay,
)


def test_the_schedule_starts_at_nothing_peaks_at_one_and_ends_where_it_should() -> None:
    factor = warm_up_then_decay(0.2, 0.05)
    assert factor(0.0) == 0.0
    assert factor(0.1) == pytest.approx(0.5)
    assert factor(0.2) == pytest.approx(1.0)
    assert factor(0.6) == pytest.approx(0.525)
    assert factor(1.0) == pytest.approx(0.05)
    assert warm_up_then_decay(0.0, 0.5)(0.0) == 1.0


def test_a_lower_peak_lowers_the_whole_schedule() -> None:
    usual, low = warm_up_then_decay(0.2, 0.05), warm_up_then_decay(0.2, 0.05, peak=0.6)
    for done in (0.0, 0.1, 0.2, 0.6, 1.0):
        assert low(done) == pytest.approx(0.6 * usual(done))


def test_one_schedule_after_another_runs_both_from_start_to_end() -> None:
    factor = one_after_another([(lambda done: done, 4), (lambda done: 10 + done, 1)])
    assert factor(0.0) == 0.0
    assert factor(0.4) == pytest.approx(0.5)
    assert factor(0.7999) == pytest.approx(1.0, abs=1e-3)
    assert factor(0.8) == pytest.approx(10.0)
    assert factor(0.9) == pytest.approx(10.5)
    assert factor(1.0) == pytest.approx(11.0)


def test_three_schedules_share_training_by_their_lengths() -> None:
    factor = one_after_another(
        [(lambda done: done, 3), (lambda done: 10 + done, 3), (lambda done: 20 + done, 6)]
    )
    assert [factor(at / 12) for at in (0, 1.5, 3, 4.5, 6, 9, 12)] == pytest.approx(
        [0.0, 0.5, 10.0, 10.5, 20.0, 20.5, 21.0]
    )


def test_a_schedule_that_nothing_comes_after_runs_alone() -> None:
    usual = warm_up_then_decay(0.2, 0.05)
    factor = one_after_another([(usual, 3.0)])
    assert [factor(d / 10) for d in range(11)] == pytest.approx([usual(d / 10) for d in range(11)])

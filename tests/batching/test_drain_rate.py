"""How long a queue needs to empty."""

import pytest

from service.batching.drain_rate import DrainRate


def test_nothing_is_promised_before_the_first_batch() -> None:
    assert DrainRate().seconds_for(100, workers=1) == 0.0


def test_workers_share_the_waiting_items() -> None:
    rate = DrainRate()
    rate.measured(8, 4.0)
    assert rate.seconds_for(10, workers=1) == pytest.approx(5.0)
    assert rate.seconds_for(10, workers=2) == pytest.approx(2.5)


def test_a_full_batch_weighs_more_than_a_lone_slow_item() -> None:
    rate = DrainRate()
    rate.measured(31, 0.31)
    rate.measured(1, 1.0)
    assert rate.seconds_for(1, workers=1) < 0.05


def test_what_was_long_ago_is_forgotten() -> None:
    rate = DrainRate()
    rate.measured(1, 100.0)
    for _ in range(200):
        rate.measured(1, 0.01)
    assert rate.seconds_for(1, workers=1) == pytest.approx(0.01, rel=0.01)

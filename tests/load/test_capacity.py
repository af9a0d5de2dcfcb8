"""The search for the highest rate that keeps an objective."""

import asyncio

import pytest

from service.load.capacity import Capacity, Slo, find_capacity
from service.load.samples import Summary

SLO = Slo(0.1, 0.99)


def summary(share: float) -> Summary:
    return Summary(100.0, 1000, 10.0, round(1000 * share), {}, None, None, 0.0)


def find(limit: float, start: float, **more: float) -> Capacity:
    async def measure(rate: float) -> Summary:
        return summary(0.99 if rate <= limit else 0.98)

    return asyncio.run(find_capacity(measure, SLO, start, **more))


@pytest.mark.parametrize("limit", [3.0, 90.0, 100.0, 170.0, 5000.0])
def test_the_rate_is_found_from_either_side(limit: float) -> None:
    found = find(limit, 100.0)
    assert found.rate <= limit < found.rate * 1.05
    assert len(found.trials) <= 16


def test_the_search_is_as_fine_as_asked() -> None:
    coarse, fine = find(170.0, 100.0, near=1.5), find(170.0, 100.0, near=1.01)
    assert len(coarse.trials) < len(fine.trials)
    assert fine.rate <= 170.0 < fine.rate * 1.01


def test_a_small_stride_stays_near_a_good_guess() -> None:
    assert max(rate for rate, _ in find(100.0, 99.0, stride=1.2).trials) < 120.0


def test_who_never_keeps_the_objective_has_no_capacity() -> None:
    assert find(0.0, 100.0).rate == 0.0


def test_a_trial_sees_enough_requests_of_the_rare_kind() -> None:
    assert SLO.seconds(1000.0, 3.0) == 3.0
    assert SLO.seconds(100.0, 3.0) == pytest.approx(5.0)
    assert SLO.seconds(1.0, 3.0) == 12.0
    assert Slo(0.1, 1.0).seconds(1.0, 3.0) == 12.0


def test_the_objective_is_kept_at_its_share_and_not_below() -> None:
    assert SLO.kept(summary(0.99))
    assert not SLO.kept(summary(0.989))

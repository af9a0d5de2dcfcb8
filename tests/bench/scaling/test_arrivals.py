"""Loads and what is drawn from them."""

import numpy as np
import pytest

from bench.scaling.arrivals import TRACES, bursts, diurnal, draw, steady


def test_a_steady_load_is_always_the_same() -> None:
    assert {steady(70.0, 100.0).rate(at) for at in (0.0, 50.0, 99.9)} == {70.0}


def test_a_day_goes_from_a_fifth_of_the_peak_to_the_peak_and_back() -> None:
    rate = diurnal(100.0, 3600.0).rate
    assert [rate(at) for at in (0.0, 1800.0, 3600.0)] == pytest.approx([20.0, 100.0, 20.0])
    assert rate(900.0) == pytest.approx(60.0)


def test_bursts_are_a_quarter_of_the_time() -> None:
    rate = bursts(100.0, 400.0).rate
    seen = [rate(float(at)) for at in range(400)]
    assert (seen.count(100.0), seen.count(30.0)) == (100, 300)
    assert (rate(74.0), rate(75.0), rate(99.0), rate(100.0)) == (30.0, 100.0, 100.0, 30.0)


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_knows_its_peak(name: str) -> None:
    trace = TRACES[name](50.0, 100.0)
    assert max(trace.rate(float(at)) for at in range(100)) == pytest.approx(trace.peak) == 50.0


def test_arrivals_lie_in_order_within_their_time() -> None:
    found = draw(lambda _: 1000.0, 2.5, 4.25, np.random.default_rng(1))
    assert found[0] >= 2.5
    assert found[-1] < 4.25
    assert (np.diff(found) >= 0.0).all()
    assert len(found) == pytest.approx(1750, abs=4 * 1750**0.5)


def test_arrivals_are_as_random_as_a_poisson_process() -> None:
    counts = np.histogram(
        draw(lambda _: 40.0, 0.0, 2000.0, np.random.default_rng(2)), bins=2000, range=(0, 2000)
    )[0]
    assert counts.mean() == pytest.approx(40.0, rel=0.02)
    assert counts.var() == pytest.approx(40.0, rel=0.1)


def test_the_rate_of_each_second_is_followed() -> None:
    found = draw(lambda at: 500.0 if at >= 1.0 else 0.0, 0.0, 2.0, np.random.default_rng(1))
    assert found.min() >= 1.0

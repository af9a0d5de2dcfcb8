"""Limits and throttling on the page, as they are when it is asked for."""

import pytest
from prometheus_client import CollectorRegistry

from service.cgroup import CpuLimit, Throttling
from service.metrics import Metrics
from service.metrics.resources import Resources


def test_limits_are_told_as_they_are_at_that_moment() -> None:
    registry = CollectorRegistry()
    now = CpuLimit(1.5, Throttling(periods=40, throttled_periods=10, throttled_s=2.5))
    memory = 2048
    Resources(registry, lambda: now, lambda: memory)
    assert registry.get_sample_value("slipway_cpu_quota_cores") == 1.5
    assert registry.get_sample_value("slipway_cpu_periods_total") == 40
    assert registry.get_sample_value("slipway_cpu_throttled_periods_total") == 10
    assert registry.get_sample_value("slipway_cpu_throttled_seconds_total") == 2.5
    assert registry.get_sample_value("slipway_memory_limit_bytes") == 2048
    now, memory = CpuLimit(2.0, Throttling(41, 11, 3.0)), 4096
    assert registry.get_sample_value("slipway_cpu_throttled_seconds_total") == 3.0
    assert registry.get_sample_value("slipway_memory_limit_bytes") == 4096


def test_what_has_no_limit_has_no_series() -> None:
    registry = CollectorRegistry()
    Resources(registry, lambda: None, lambda: None)
    assert list(registry.collect()) == []


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
def test_the_process_tells_its_own(accept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = CpuLimit(1.5, Throttling(1, 0, 0.0))
    monkeypatch.setattr(Resources.__init__, "__defaults__", (lambda: limit, lambda: 2048))
    page = Metrics.create(CollectorRegistry()).render(accept)[0].decode()
    assert "slipway_cpu_quota_cores 1.5\n" in page
    assert "slipway_memory_limit_bytes 2048.0\n" in page

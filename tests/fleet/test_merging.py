"""Pages of several processes as one page."""

from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.fleet.merging import Page


def page(**gauges: float) -> Page:
    """One process that counted 2, measured 0.5 s once, and has these gauges."""
    registry = CollectorRegistry()
    Counter("slipway_requests", "Requests.", ["model"], registry=registry).labels("a").inc(2)
    Histogram("slipway_seconds", "Time.", buckets=(1.0,), registry=registry).observe(0.5)
    for name, value in gauges.items():
        Gauge(name, "A gauge.", registry=registry).set(value)
    return Page.of(registry)


def merged(pages: Iterable[Page]) -> CollectorRegistry:
    whole = Page()
    for one in pages:
        whole.add(one.plain())
    return whole.registry()


def test_counts_and_buckets_add_up() -> None:
    registry = merged([page(), page(), page()])
    assert registry.get_sample_value("slipway_requests_total", {"model": "a"}) == 6
    assert registry.get_sample_value("slipway_seconds_count") == 3
    assert registry.get_sample_value("slipway_seconds_sum") == 1.5
    assert registry.get_sample_value("slipway_seconds_bucket", {"le": "1.0"}) == 3
    assert registry.get_sample_value("slipway_seconds_bucket", {"le": "+Inf"}) == 3


@pytest.mark.parametrize(
    ("name", "together"),
    [
        ("slipway_queue_depth", 5.0),
        ("slipway_inflight_requests", 5.0),
        ("process_resident_memory_bytes", 5.0),
        ("slipway_estimated_queue_seconds", 3.0),
        ("slipway_memory_limit_bytes", 3.0),
        ("slipway_model_ready", 2.0),
    ],
)
def test_a_gauge_is_added_or_the_one_that_matters_is_told(name: str, together: float) -> None:
    registry = merged([page(**{name: 2.0}), page(**{name: 3.0})])
    assert registry.get_sample_value(name) == together


def test_what_the_kernel_counts_for_all_is_counted_once() -> None:
    def throttled() -> Page:
        registry = CollectorRegistry()
        Counter("slipway_cpu_throttled_periods", "Periods.", registry=registry).inc(7)
        return Page.of(registry)

    registry = merged([throttled(), throttled()])
    assert registry.get_sample_value("slipway_cpu_throttled_periods_total") == 7


def test_a_series_that_only_one_has_is_kept() -> None:
    registry = merged([page(), page(slipway_build_info=1.0)])
    assert registry.get_sample_value("slipway_build_info") == 1


def test_only_what_grows_outlives_a_process() -> None:
    kept = page(slipway_queue_depth=2.0).only_counts()
    assert {family["name"] for family in kept.plain()} == {"slipway_requests", "slipway_seconds"}

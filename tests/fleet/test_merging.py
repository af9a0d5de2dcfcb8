"""Pages of several processes as one page."""

from collections.abc import Iterable

import orjson
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.samples import Exemplar

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
        whole.add(orjson.loads(orjson.dumps(one.plain())))  # as it travels
    return whole.registry()


class Traced:
    """One process that measured once, in that trace and at that time."""

    def __init__(self, trace_id: str, at_s: float | None) -> None:
        self._exemplar = Exemplar({"trace_id": trace_id}, 0.5, at_s)

    def collect(self) -> Iterable[Metric]:
        family = Metric("slipway_seconds", "Time.", "histogram")
        family.add_sample("slipway_seconds_bucket", {"le": "1.0"}, 1.0, exemplar=self._exemplar)
        family.add_sample("slipway_seconds_bucket", {"le": "+Inf"}, 1.0)
        yield family


def traced(trace_id: str, at_s: float | None) -> Page:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Traced(trace_id, at_s))
    return Page.of(registry)


def bucket(pages: Iterable[Page]) -> str:
    """The line of the only bucket with an exemplar, as OpenMetrics writes it."""
    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    lines = encode(merged(pages)).decode().splitlines()
    (line,) = [line for line in lines if 'le="1.0"' in line]
    return line


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


def test_a_trace_that_a_process_names_is_on_the_merged_page() -> None:
    registry = CollectorRegistry()
    seconds = Histogram("slipway_seconds", "Time.", buckets=(1.0,), registry=registry)
    seconds.observe(0.5, {"trace_id": "abc"})
    assert '3.0 # {trace_id="abc"} 0.5 ' in bucket([page(), Page.of(registry), page()])


@pytest.mark.parametrize("newest", [0, 1, 2])
def test_of_several_traces_in_one_bucket_the_newest_is_told(newest: int) -> None:
    times = [100.0, 100.0, 100.0]
    times[newest] = 200.5
    line = bucket(traced(f"trace-{number}", at_s) for number, at_s in enumerate(times))
    assert line.endswith(f'3.0 # {{trace_id="trace-{newest}"}} 0.5 200.5')


def test_a_trace_of_unknown_time_gives_way_to_any_other() -> None:
    for pages in (
        [traced("old", None), traced("new", 1.0)],
        [traced("new", 1.0), traced("old", None)],
    ):
        assert 'trace_id="new"' in bucket(pages)
    assert bucket([traced("old", None)]).endswith('1.0 # {trace_id="old"} 0.5')


def test_traces_outlive_the_process_that_named_them() -> None:
    assert 'trace_id="abc"' in bucket([traced("abc", 1.0).only_counts()])

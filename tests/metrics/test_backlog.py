"""Counts that wait are there when somebody looks, each once, whoever counted."""

import sys
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from service.metrics.backlog import MOST, Backlog, taken
from service.metrics.series import Maker

THREADS, EACH = 4, 3 * MOST


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads take turns as often as they can."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual_s)


@pytest.mark.usefixtures("impatient")
def test_no_count_is_lost_between_threads(registry: CollectorRegistry) -> None:
    make = Maker(registry)
    counter = make.counter("cats", "Cats.", "colour").labels("red")
    histogram = make.histogram("naps", "Naps.", buckets=(1.0, 2.0))

    def count() -> None:
        for _ in range(EACH):
            counter.inc(2)
            histogram.observe(1.5)

    threads = [Thread(target=count) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        list(registry.collect())
    for thread in threads:
        thread.join()
    assert registry.get_sample_value("slipway_cats_total", {"colour": "red"}) == 2 * THREADS * EACH
    assert registry.get_sample_value("slipway_naps_count") == THREADS * EACH
    assert registry.get_sample_value("slipway_naps_bucket", {"le": "1.0"}) == 0
    assert registry.get_sample_value("slipway_naps_sum") == 1.5 * THREADS * EACH


def test_what_is_noted_while_somebody_settles_waits_for_the_next_time() -> None:
    class Busy(list[str]):
        def __getitem__(self, places: Any) -> Any:
            found = super().__getitem__(places)
            self.append("late")  # another thread
            return found

    notes = Busy(["early"])
    assert taken(notes) == ["early"]
    assert list(notes) == ["late"]


@pytest.mark.parametrize("name", ["slipway_cats_total", "slipway_naps_count"])
def test_one_series_alone_is_up_to_date_too(registry: CollectorRegistry, name: str) -> None:
    make = Maker(registry)
    make.counter("cats", "Cats.").inc()
    make.histogram("naps", "Naps.").observe(0.5)
    (family,) = registry.restricted_registry([name]).collect()
    assert [sample.value for sample in family.samples] == [1.0]


def test_what_waits_is_bounded() -> None:
    backlog = Backlog()
    counter = Counter("cats", "Cats.", registry=None)
    histogram = Histogram("naps", "Naps.", registry=None)
    for _ in range(MOST - 1):
        backlog.count(counter, 1.0)
        backlog.observe(histogram, 20.0)
    assert (value(counter, "_total"), value(histogram, "_count")) == (0.0, 0.0)
    backlog.count(counter, 1.0)
    assert (value(counter, "_total"), value(histogram, "_count")) == (MOST, MOST - 1)
    for _ in range(MOST):
        backlog.observe(histogram, 20.0)
    assert value(histogram, "_count") == 2 * MOST - 1


def test_an_exemplar_stays_with_its_observation(registry: CollectorRegistry) -> None:
    make = Maker(registry)
    make.histogram("naps", "Naps.").observe(0.3, {"trace_id": "1"})
    make.counter("cats", "Cats.").inc(1.0, {"trace_id": "2"})
    found = {
        sample.exemplar.labels["trace_id"]: sample.exemplar.value
        for family in registry.collect()
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert found == {"1": 0.3, "2": 1.0}


def value(series: Counter | Histogram, end: str) -> float:
    (family,) = series.collect()
    (found,) = [sample.value for sample in family.samples if sample.name.endswith(end)]
    return found

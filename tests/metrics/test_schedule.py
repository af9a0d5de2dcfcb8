"""What the scheduler decided, by model, as a scrape sees it."""

from typing import get_args

import pytest
from prometheus_client import CollectorRegistry

from service.metrics import LookUp, Metrics, ModelMetrics, ReleaseReason


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def cats(registry: CollectorRegistry) -> ModelMetrics:
    return Metrics.create(registry).model("cats", 1)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"slipway_{name}", {"model": "cats"} | labels)


def test_every_reason_and_every_look_up_exists_from_the_start(
    cats: ModelMetrics, registry: CollectorRegistry
) -> None:
    for reason in get_args(ReleaseReason):
        assert value(registry, "batch_releases_total", reason=reason) == 0
    for result in get_args(LookUp):
        assert value(registry, "shared_items_total", result=result) == 0
    assert value(registry, "runs_stopped_total") == 0


def test_a_batch_is_counted_under_the_reason_it_left_for(
    cats: ModelMetrics, registry: CollectorRegistry
) -> None:
    cats.batch_started(2, [0.0, 0.0], "deadline", [])
    cats.batch_started(1, [0.0], "age", [])
    cats.batch_started(1, [0.0], "age", [])
    assert value(registry, "batch_releases_total", reason="deadline") == 1
    assert value(registry, "batch_releases_total", reason="age") == 2


def test_look_ups_and_stopped_runs_are_counted(
    cats: ModelMetrics, registry: CollectorRegistry
) -> None:
    for result in ("hit", "hit", "shared", "miss"):
        cats.item_looked_up(result)
    cats.run_stopped()
    assert value(registry, "shared_items_total", result="hit") == 2
    assert value(registry, "shared_items_total", result="shared") == 1
    assert value(registry, "runs_stopped_total") == 1


def test_a_prediction_is_judged_by_what_the_batch_took(
    cats: ModelMetrics, registry: CollectorRegistry
) -> None:
    cats.batch_predicted(0.5, 1.0)
    cats.batch_predicted(0.0, 1.0)  # nothing was expected: nothing to compare with
    assert value(registry, "batch_predicted_ratio_count") == 1
    assert value(registry, "batch_predicted_ratio_sum") == 2.0


def test_what_is_foreseen_is_asked_at_each_scrape(
    cats: ModelMetrics, registry: CollectorRegistry
) -> None:
    seconds = [0.25]
    cats.foresees(8, 64, lambda: seconds[0])
    assert value(registry, "latency_model_seconds", batch="8", length="64") == 0.25
    seconds[0] = 0.5
    assert value(registry, "latency_model_seconds", batch="8", length="64") == 0.5
    cats.foresees_work(64, lambda: seconds[0] / 8)
    assert value(registry, "latency_model_work_seconds", length="64") == 0.0625


def test_the_predicted_queue_of_two_versions_adds_up(registry: CollectorRegistry) -> None:
    metrics = Metrics.create(registry)
    waiting = [1, 2]
    metrics.model("cats", 1).queue_opened(waiting.__len__, 10, lambda: 0.5, 1.0)
    metrics.model("cats", 2).queue_opened(waiting.__len__, 10, lambda: 0.25, 1.0)
    assert value(registry, "estimated_queue_seconds") == 0.75

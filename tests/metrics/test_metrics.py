"""What /metrics tells, by name, label and number."""

import asyncio
import threading
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from service.metrics import DURATION_BUCKETS, ItemOutcome, Metrics, Outcome
from service.metrics.backlog import MOST

Labels = dict[str, str]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics.create(registry)


def end(metrics: Metrics, model: str = "", version: str = "", outcome: Outcome = "ok") -> None:
    metrics.request_began()
    metrics.request_ended("/v1/classify", model, version, outcome, 0.02)


def requests(registry: CollectorRegistry, model: str, version: str, outcome: Outcome) -> float:
    labels = {"endpoint": "/v1/classify", "model": model, "version": version, "outcome": outcome}
    return registry.get_sample_value("slipway_requests_total", labels) or 0.0


def test_a_request_is_counted_under_its_outcome_and_timed(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.model("cats", 1)
    metrics.request_began()
    metrics.request_began()
    metrics.request_ended("/v1/classify", "cats", "1", "ok", 0.02)
    assert requests(registry, "cats", "1", "ok") == 1
    assert registry.get_sample_value("slipway_inflight_requests") == 1
    metrics.request_ended("/v1/classify", "cats", "1", "shed", 0.001)
    assert requests(registry, "cats", "1", "shed") == 1
    assert registry.get_sample_value("slipway_inflight_requests") == 0
    assert seconds(registry, "ok") == (1, 0.02)
    assert seconds(registry, "shed") == (1, 0.001)


def test_requests_that_ended_do_not_wait_for_long_to_be_counted(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    for _ in range(3 * MOST):
        end(metrics)
        assert len(metrics._requests._notes) < MOST
    assert requests(registry, "", "", "ok") == 3 * MOST


def test_no_request_is_lost_while_somebody_reads(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    def ask() -> None:
        while not over.is_set():
            list(registry.collect())

    over = threading.Event()
    readers = [threading.Thread(target=ask) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(20 * MOST):
        end(metrics, outcome="ok" if number % 2 else "shed")
    over.set()
    for reader in readers:
        reader.join()
    assert requests(registry, "", "", "ok") == requests(registry, "", "", "shed") == 10 * MOST
    assert seconds(registry, "ok")[0] == 10 * MOST


def test_a_request_that_was_followed_is_an_exemplar(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.request_ended("/v1/classify", "", "", "ok", 0.02, "ab" * 16)
    metrics.request_ended("/v1/classify", "", "", "ok", 0.2)
    found = {
        sample.exemplar.labels["trace_id"]: sample.exemplar.value
        for family in registry.collect()
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert found == {"ab" * 16: 0.02}


def seconds(registry: CollectorRegistry, outcome: Outcome) -> tuple[float | None, float | None]:
    """How many requests ended so, and how long they took together."""
    labels = {"endpoint": "/v1/classify", "outcome": outcome}
    name = "slipway_request_duration_seconds"
    count = registry.get_sample_value(f"{name}_count", labels)
    return count, registry.get_sample_value(f"{name}_sum", labels)


def test_a_rate_sees_the_first_error_of_what_was_expected(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.requests_expected("/v1/classify", "cats", "1")
    metrics.requests_expected("/v1/classify")
    for outcome in get_args(Outcome):
        for model, version in (("cats", "1"), ("", "")):
            labels = {"endpoint": "/v1/classify", "model": model, "version": version}
            labels["outcome"] = outcome
            assert registry.get_sample_value("slipway_requests_total", labels) == 0
    assert seconds(registry, "ok") == (0, 0)
    assert seconds(registry, "shed") == (None, None)  # nothing asks, so it costs no series


def test_the_page_has_no_series_that_nobody_reads(metrics: Metrics) -> None:
    metrics.model("cats", 1)
    end(metrics)
    for accept in ("", "application/openmetrics-text"):
        assert b"_created" not in metrics.render(accept)[0]


def test_what_a_user_asked_for_never_becomes_a_label(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.model("cats", 1)
    end(metrics, "dogs", "1")
    end(metrics, 'x"} 1\nforged_total', "1")
    end(metrics, "cats", "v77x")
    end(metrics)
    assert requests(registry, "unknown", "unknown", "ok") == 2
    assert requests(registry, "cats", "unknown", "ok") == 1
    assert requests(registry, "", "", "ok") == 1
    page = metrics.render()[0].decode()
    for word in ("dogs", "forged", "v77x"):
        assert word not in page


def test_a_batch_is_counted_with_its_size_and_waits(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    model = metrics.model("cats", 1)
    model.batch_started(3, [0.1, 0.2, 0.3], "full")
    model.batch_started(1, [0.0], "idle")
    cats = {"model": "cats"}
    queue = {"model": "cats", "stage": "queue"}
    assert registry.get_sample_value("slipway_executions_total", cats) == 2
    assert registry.get_sample_value("slipway_inferences_total", cats) == 4
    assert registry.get_sample_value("slipway_batch_size_sum", cats) == 4
    assert registry.get_sample_value("slipway_stage_duration_seconds_count", queue) == 4
    total = registry.get_sample_value("slipway_stage_duration_seconds_sum", queue)
    assert total == pytest.approx(0.6)


def test_items_stages_and_tokens_are_counted_by_model(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    model = metrics.model("cats", 1)
    model.items_ended("expired", 2)
    model.busy(2)
    model.busy(-1)
    model.stage_took("decode", 0.5)
    model.tokens_generated(7)
    assert registry.get_sample_value("slipway_busy_workers", {"model": "cats"}) == 1
    labels = {"model": "cats", "outcome": "expired"}
    assert registry.get_sample_value("slipway_items_total", labels) == 2
    labels = {"model": "cats", "stage": "decode"}
    assert registry.get_sample_value("slipway_stage_duration_seconds_sum", labels) == 0.5
    assert registry.get_sample_value("slipway_generated_tokens_total", {"model": "cats"}) == 7


def test_all_outcomes_of_a_loaded_model_exist_from_the_start(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.model("cats", 1)
    for outcome in get_args(ItemOutcome):
        labels = {"model": "cats", "outcome": outcome}
        assert registry.get_sample_value("slipway_items_total", labels) == 0


def test_the_depth_is_asked_when_scraped_and_two_versions_add_up(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    old, new = [1, 2, 3], [4, 5]
    first, second = metrics.model("cats", 1), metrics.model("cats", 2)
    first.queue_opened(old.__len__, 10, lambda: 0.5, 3.0)
    second.queue_opened(new.__len__, 20, lambda: 0.25, 4.0)
    cats = {"model": "cats"}
    assert registry.get_sample_value("slipway_queue_depth", cats) == 5
    assert registry.get_sample_value("slipway_queue_limit", cats) == 30
    assert registry.get_sample_value("slipway_queue_limit_seconds", cats) == 7.0
    old.append(0)
    assert registry.get_sample_value("slipway_queue_depth", cats) == 6
    first.queue_closed(old.__len__)
    assert registry.get_sample_value("slipway_queue_depth", cats) == 2
    assert registry.get_sample_value("slipway_queue_limit", cats) == 20
    second.queue_closed(new.__len__)
    assert registry.get_sample_value("slipway_queue_depth", cats) == 0


def test_a_loaded_model_is_described_until_it_retires(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    model = metrics.model("cats", 2)
    ready = {"model": "cats", "version": "2"}
    info = ready | {"variant": "int8", "providers": "cuda,cpu", "sha256": "ab12"}
    assert registry.get_sample_value("slipway_model_ready", ready) == 0
    model.loaded(variant="int8", providers=["cuda", "cpu"], sha256="ab12")
    model.ready(True)
    assert registry.get_sample_value("slipway_model_info", info) == 1
    assert registry.get_sample_value("slipway_model_ready", ready) == 1
    model.retired()
    model.retired()
    assert registry.get_sample_value("slipway_model_info", info) is None
    assert registry.get_sample_value("slipway_model_ready", ready) == 0


def test_loads_are_counted_by_result(metrics: Metrics, registry: CollectorRegistry) -> None:
    failed = {"result": "failed"}
    assert registry.get_sample_value("slipway_model_loads_total", failed) == 0
    metrics.model_load_ended(ok=True, seconds=0.7)
    metrics.model_load_ended(ok=False, seconds=0.1)
    assert registry.get_sample_value("slipway_model_loads_total", {"result": "ok"}) == 1
    assert registry.get_sample_value("slipway_model_loads_total", failed) == 1
    assert registry.get_sample_value("slipway_model_load_duration_seconds_count") == 2


@pytest.mark.anyio
async def test_a_late_event_loop_is_noticed(registry: CollectorRegistry) -> None:
    metrics = Metrics(registry)  # without the process, whose files are not read on an event loop
    now_s = 0.0
    lags_s = iter([0.0, 0.3])

    async def sleep(seconds: float) -> None:
        nonlocal now_s
        lag_s = next(lags_s, None)
        if lag_s is None:
            raise asyncio.CancelledError
        now_s += seconds + lag_s

    with pytest.raises(asyncio.CancelledError):
        await metrics.watch_event_loop(0.25, sleep=sleep, clock=lambda: now_s)
    assert registry.get_sample_value("slipway_event_loop_lag_seconds_count") == 2
    total = registry.get_sample_value("slipway_event_loop_lag_seconds_sum")
    assert total == pytest.approx(0.3)


def test_the_page_is_text_that_prometheus_reads(metrics: Metrics) -> None:
    metrics.describe_build("1.2.3")
    end(metrics)
    page, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    families = {family.name for family in text_string_to_metric_families(page.decode())}
    assert {"slipway_requests", "slipway_build_info", "process_resident_memory_bytes"} <= families
    assert metrics.render("application/openmetrics-text")[1].startswith("application/openmetrics")


def test_every_name_is_ours_or_the_process_s(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.model("cats", 1)
    end(metrics)
    names = {family.name for family in registry.collect()}
    assert {name for name in names if not name.startswith(("slipway_", "process_"))} == set()


def test_the_thresholds_of_objectives_are_bucket_edges() -> None:
    assert {0.025, 0.05, 0.1, 0.25, 0.5, 1.0} <= set(DURATION_BUCKETS)
    assert len(DURATION_BUCKETS) == 13


def test_two_servers_in_one_process_do_not_share_counts() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    end(Metrics.create(first))
    Metrics.create(second)
    assert requests(first, "", "", "ok") == 1
    assert requests(second, "", "", "ok") == 0


def test_counts_from_many_threads_add_up(metrics: Metrics, registry: CollectorRegistry) -> None:
    model = metrics.model("cats", 1)

    def work() -> None:
        for _ in range(500):
            end(metrics, "cats", "1")
            model.batch_started(2, [0.0, 0.0], "idle")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert requests(registry, "cats", "1", "ok") == 2000
    assert registry.get_sample_value("slipway_inferences_total", {"model": "cats"}) == 4000
    assert registry.get_sample_value("slipway_inflight_requests") == 0

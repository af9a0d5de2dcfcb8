"""Queue, batch and stages of a real batcher, as spans."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from prometheus_client import CollectorRegistry

from service.batching.batcher import Batcher
from service.batching.policy import BatchPolicy
from service.batching.stream import Streaming
from service.metrics import Metrics, ModelMetrics, RunTrace
from service.tracing.current import RequestTrace, served
from service.tracing.otlp import OtlpTracing
from tests.batching.doubles import GatedRunner, turn
from tests.tracing.conftest import Spans

pytestmark = pytest.mark.anyio

FAR = 1e12
UNSAMPLED = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@dataclass(frozen=True)
class Request:
    trace: RequestTrace
    request_id: bytes = b"1"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(tracing: OtlpTracing, registry: CollectorRegistry) -> ModelMetrics:
    return Metrics(registry, tracing.model_metrics).model("m", 3)


class Model(GatedRunner):
    """Reports its stages as an engine does."""

    def __init__(self, metrics: ModelMetrics) -> None:
        super().__init__()
        self._metrics = metrics

    def __call__(self, parts: list[int]) -> list[object]:
        answers = super().__call__(parts)
        self._metrics.stage_took("tokenize", 0.001)
        self._metrics.stage_took("inference", 0.002)
        return answers


class Steps:
    """A stream in which each part takes as many steps as it says."""

    def __init__(self, metrics: ModelMetrics) -> None:
        self._metrics = metrics
        self._left: dict[int, int] = {}
        self._runs: dict[int, RunTrace | None] = {}
        self._next = 0

    free = 4

    def admit(self, parts: Sequence[int]) -> list[int | Exception]:
        tickets = list(range(self._next, self._next + len(parts)))
        self._next += len(parts)
        self._left.update(zip(tickets, parts, strict=True))
        self._runs.update(dict.fromkeys(tickets, self._metrics.running()))
        return [*tickets]

    def step(self) -> list[tuple[int, Any]]:
        for ticket in self._left:
            self._left[ticket] -= 1
        done = [ticket for ticket, left in self._left.items() if left <= 0]
        for ticket in done:
            del self._left[ticket]
            self._metrics.stage_took("inference", 0.001, self._runs.pop(ticket))
        return [(ticket, ticket) for ticket in done]

    def evict(self, ticket: int) -> None:
        del self._left[ticket]

    def progress(self, ticket: int) -> None:
        return None


async def ask(
    batcher: Batcher[int, Any], tracing: OtlpTracing, *parts: int, parent: bytes | None = None
) -> list[Any]:
    """As a request does: with a trace of its own, in a context of its own."""
    trace = tracing.requests.begin("POST", parent)
    served.set(Request(trace))
    try:
        return await batcher.submit_many(parts, deadline=FAR)
    finally:
        trace.ended()


def ids(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def linked(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


async def test_a_batch_is_linked_to_its_requests_and_their_waits_to_the_batch(
    tracing: OtlpTracing, metrics: ModelMetrics, spans: Spans
) -> None:
    model = Model(metrics)
    batcher = Batcher(model, BatchPolicy(max_batch_size=8, max_queue_size=9), observer=metrics)
    first = asyncio.create_task(ask(batcher, tracing, 1))
    await model.entered()
    others = [asyncio.create_task(ask(batcher, tracing, *parts)) for parts in ((2, 3), (4,))]
    await turn()
    model.let_through(2)
    await asyncio.gather(first, *others)
    batcher.close()
    assert await asyncio.to_thread(batcher.join, 5.0)
    alone, shared = spans.named("batch")
    requests = [ids(span) for span in spans.named("POST")]
    assert len(requests) == 3
    assert linked(alone) == requests[:1]
    assert sorted(linked(shared)) == sorted(requests[1:])
    assert alone.parent is None
    assert shared.attributes is not None
    assert dict(shared.attributes) == {
        "slipway.model": "m",
        "slipway.version": "3",
        "slipway.batch.size": 3,
        "slipway.batch.reason": "idle",
    }
    waits = spans.named("queue")
    assert len(waits) == 3, "one a request, however many items it has"
    parents = [(w.context.trace_id, w.parent.span_id) for w in waits if w.context and w.parent]
    assert parents == requests
    assert [linked(wait) for wait in waits] == [[ids(alone)], [ids(shared)], [ids(shared)]]


async def test_the_stages_of_a_batch_lie_in_it(
    tracing: OtlpTracing, metrics: ModelMetrics, spans: Spans, registry: CollectorRegistry
) -> None:
    model = Model(metrics)
    model.open()
    batcher = Batcher(model, BatchPolicy(max_batch_size=8, max_queue_size=9), observer=metrics)
    await ask(batcher, tracing, 1, 2)
    batcher.close()
    assert await asyncio.to_thread(batcher.join, 5.0)
    batch, inference = spans.one("batch"), spans.one("inference")
    assert inference.parent is not None
    assert (inference.parent.trace_id, inference.parent.span_id) == ids(batch)
    assert inference.start_time is not None
    assert inference.end_time is not None
    assert inference.end_time - inference.start_time == 2_000_000
    assert batch.end_time is not None
    assert batch.end_time >= inference.end_time
    assert spans.one("tokenize").parent == inference.parent
    labels = {"model": "m", "stage": "inference"}
    assert registry.get_sample_value("slipway_stage_duration_seconds_count", labels) == 1
    assert registry.get_sample_value("slipway_executions_total", {"model": "m"}) == 1


async def test_what_nobody_samples_is_counted_and_not_drawn(
    tracing: OtlpTracing, metrics: ModelMetrics, spans: Spans, registry: CollectorRegistry
) -> None:
    model = Model(metrics)
    model.open()
    batcher = Batcher(model, BatchPolicy(max_batch_size=8, max_queue_size=9), observer=metrics)
    await ask(batcher, tracing, 1)
    await ask(batcher, tracing, 1, parent=UNSAMPLED)
    await asyncio.create_task(batcher.submit(1, deadline=FAR))
    batcher.close()
    assert await asyncio.to_thread(batcher.join, 5.0)
    assert len(spans.named("batch")) == len(spans.named("inference")) == 1
    assert registry.get_sample_value("slipway_executions_total", {"model": "m"}) == 3


async def test_in_a_run_that_goes_on_a_batch_is_who_joined_together(
    tracing: OtlpTracing, metrics: ModelMetrics, spans: Spans
) -> None:
    batcher: Batcher[int, Any] = Batcher(
        Streaming(lambda: Steps(metrics)),
        BatchPolicy(max_batch_size=4, max_queue_size=9),
        observer=metrics,
    )
    await ask(batcher, tracing, 3, 1)
    batcher.close()
    assert await asyncio.to_thread(batcher.join, 5.0)
    batch = spans.one("batch")
    decoded = spans.named("inference")
    assert len(decoded) == 2
    for span in decoded:
        assert span.parent is not None
        assert span.parent.span_id == ids(batch)[1]
        assert span.end_time is not None
        assert batch.end_time is not None
        assert span.end_time <= batch.end_time

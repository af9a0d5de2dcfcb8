"""Spans of a model: the wait in the queue, the batch, and what was done in it.

A batch serves many requests and belongs to none of them, so its span begins a trace of its own and
links to every request in it; the wait of each request ends in a span that links back to the batch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock, local

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    Tracer,
    set_span_in_context,
)

from service.metrics import ModelMetrics, ReleaseReason, RunTrace, Stage
from service.metrics.model import ModelFamilies
from service.tracing.current import served
from service.tracing.requests import NAME, OtelRequest

NS = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Where an item came from, and when (in nanoseconds of the wall clock)."""

    context: SpanContext
    arrived_ns: int


class Run:
    """The span of one batch, from its start until the last of its items has left."""

    def __init__(self, tracer: Tracer, span: Span, items: int) -> None:
        self._tracer = tracer
        self._span = span
        self._inside = items
        self._lock = Lock()
        self._context = set_span_in_context(span)

    def left(self, count: int) -> None:
        """So many items have their answers."""
        with self._lock:
            self._inside -= count
            over = self._inside == 0
        if over:
            self._span.end()

    def stage(self, stage: Stage, seconds: float) -> None:
        """This was done in the batch, until now."""
        if self._inside <= 0:
            return
        now_ns = time.time_ns()
        began_ns = now_ns - int(seconds * NS)
        span = self._tracer.start_span(stage, context=self._context, start_time=began_ns)
        span.end(now_ns)


class TracedModelMetrics(ModelMetrics):
    """Metrics of a model that draw spans beside counting."""

    def __init__(
        self, families: ModelFamilies, name: str, version: str, provider: TracerProvider
    ) -> None:
        super().__init__(families, name, version)
        self._tracer = provider.get_tracer(NAME)
        self._attributes = {"slipway.model": name, "slipway.version": version}
        self._here = local()

    def admitted(self) -> Origin | None:
        """The request that is being served, if it is sampled."""
        request = served.get()
        trace = request.trace if request is not None else None
        if not isinstance(trace, OtelRequest) or not trace.context.trace_flags.sampled:
            return None
        return Origin(trace.context, time.time_ns())

    def batch_started(
        self,
        size: int,
        waits_s: Sequence[float],
        reason: ReleaseReason,
        origins: Sequence[object] = (),
    ) -> Run | None:
        """Count the batch, and follow it if a sampled request is in it."""
        super().batch_started(size, waits_s, reason)
        sampled = [o for o in dict.fromkeys(origins) if isinstance(o, Origin)]
        self._here.run = self._begin(sampled, size, reason) if sampled else None
        return self.running()

    def running(self) -> Run | None:
        """The batch that this thread began last."""
        run: Run | None = getattr(self._here, "run", None)
        return run

    def stage_took(self, stage: Stage, seconds: float, run: RunTrace | None = None) -> None:
        """Count the stage, and draw it in its batch: `run`, or the one of this thread."""
        super().stage_took(stage, seconds)
        drawn = run if isinstance(run, Run) else self.running()
        if drawn is not None:
            drawn.stage(stage, seconds)

    def _begin(self, origins: Sequence[Origin], size: int, reason: ReleaseReason) -> Run:
        now_ns = time.time_ns()
        batch = self._tracer.start_span(
            "batch",
            context=Context(),  # of nobody
            links=[Link(origin.context) for origin in origins],
            attributes={
                **self._attributes,
                "slipway.batch.size": size,
                "slipway.batch.reason": reason,
            },
            start_time=now_ns,
        )
        for origin in origins:
            waited = self._tracer.start_span(
                "queue",
                context=set_span_in_context(NonRecordingSpan(origin.context)),
                links=[Link(batch.get_span_context())],
                attributes=self._attributes,
                start_time=origin.arrived_ns,
            )
            waited.end(now_ns)
        return Run(self._tracer, batch, size)

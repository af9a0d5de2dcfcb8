"""What the process counts, as one object with its own Prometheus registry.

Label children are made once and kept, since looking one up costs as much as counting. A model's
name becomes a label only after that model was loaded; text that a user sent never does.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

Outcome = Literal["ok", "client_error", "shed", "expired", "cancelled", "failed", "not_ready"]
ItemOutcome = Literal["ok", "client_error", "shed", "expired", "cancelled", "failed"]
Stage = Literal["decode", "tokenize", "queue", "inference", "postprocess"]

UNKNOWN = "unknown"

# The edges that service level objectives may name, in seconds.
DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LOAD_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Everything that /metrics tells. Safe to call from any thread."""

    @classmethod
    def create(cls, registry: CollectorRegistry) -> Metrics:
        """Register all series, and those of the process, in `registry`."""
        ProcessCollector(registry=registry)
        return cls(registry)

    def __init__(self, registry: CollectorRegistry) -> None:
        make = _Maker(registry)
        self._registry = registry
        self._requests = make.counter(
            "requests", "Requests by how they ended.", "endpoint", "model", "version", "outcome"
        )
        self._request_seconds = make.histogram(
            "request_duration_seconds", "First byte in to last byte out.", "endpoint"
        )
        self._inflight = make.gauge("inflight_requests", "Requests that have no answer yet.")
        self._build = make.gauge("build_info", "Versions that run; always 1.", "version", "python")
        self._loads = make.counter("model_loads", "Attempts to load a model.", "result")
        self._load_seconds = make.histogram(
            "model_load_duration_seconds", "Verify, open and warm up.", buckets=LOAD_BUCKETS
        )
        self._loop_lag = make.histogram(
            "event_loop_lag_seconds", "How late the event loop wakes up its sleepers."
        )
        self._of_models = _ModelFamilies(make)
        self._request_children: dict[tuple[str, str, str, Outcome], tuple[Counter, Histogram]] = {}
        self._models: dict[tuple[str, str], ModelMetrics] = {}
        self._names: set[str] = set()
        for result in ("ok", "failed"):
            self._loads.labels(result)

    def request_began(self) -> None:
        """One more request is in flight."""
        self._inflight.inc()

    def request_ended(
        self, endpoint: str, model: str, version: str, outcome: Outcome, seconds: float
    ) -> None:
        """One request fewer is in flight.

        `endpoint` is the path of a route and comes from the code. `model` and `version` may be
        what the client asked for: what was never loaded is counted as "unknown". Both are empty
        where a request has no model.
        """
        if model and (model, version) not in self._models:
            model, version = (model if model in self._names else UNKNOWN), UNKNOWN
        self._inflight.dec()
        key = (endpoint, model, version, outcome)
        children = self._request_children.get(key)
        if children is None:
            children = (self._requests.labels(*key), self._request_seconds.labels(endpoint))
            self._request_children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def model(self, name: str, version: int | str) -> ModelMetrics:
        """The series of one loaded model; the same object for the same name and version."""
        key = (name, str(version))
        if key not in self._models:
            self._models[key] = ModelMetrics(self._of_models, *key)
            self._names.add(name)
        return self._models[key]

    def model_load_ended(self, *, ok: bool, seconds: float) -> None:
        """A model was loaded, or was found broken, `seconds` after the attempt began."""
        self._loads.labels("ok" if ok else "failed").inc()
        self._load_seconds.observe(seconds)

    def describe_build(self, version: str) -> None:
        """Tell which version of Slipway runs, and on which Python."""
        self._build.labels(version, platform.python_version()).set(1)

    async def watch_event_loop(
        self,
        interval_s: float = 0.25,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure for ever how late this event loop is; run it as a task."""
        while True:
            due_s = clock() + interval_s
            await sleep(interval_s)
            self._loop_lag.observe(max(0.0, clock() - due_s))

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page and its content type. Takes tens of milliseconds: keep it off the event loop."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class ModelMetrics:
    """The series of one version of one model. The batcher reports to it as its observer."""

    def __init__(self, families: _ModelFamilies, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self._families = families
        self._info_labels: tuple[str, ...] = ()
        stages: Iterable[Stage] = get_args(Stage)
        outcomes: Iterable[ItemOutcome] = get_args(ItemOutcome)
        self._stages = {stage: families.stage_seconds.labels(name, stage) for stage in stages}
        self._items = {outcome: families.items.labels(name, outcome) for outcome in outcomes}
        self._batch_size = families.batch_size.labels(name)
        self._executions = families.executions.labels(name)
        self._inferences = families.inferences.labels(name)
        self._tokens = families.generated_tokens.labels(name)
        self._ready = families.ready.labels(name, version)

    def stage_took(self, stage: Stage, seconds: float) -> None:
        """One item, or one batch where the stage is shared, spent `seconds` in `stage`."""
        self._stages[stage].observe(seconds)

    def tokens_generated(self, count: int) -> None:
        """A generating model wrote `count` more tokens."""
        self._tokens.inc(count)

    def batch_started(self, size: int, waits_s: Sequence[float]) -> None:
        """A batch left the queue; `waits_s` holds what each of its items waited there."""
        self._batch_size.observe(size)
        self._executions.inc()
        self._inferences.inc(size)
        for wait_s in waits_s:
            self._stages["queue"].observe(wait_s)

    def items_ended(self, outcome: ItemOutcome, count: int) -> None:
        """`count` items came to their end."""
        self._items[outcome].inc(count)

    def queue_opened(self, depth: Callable[[], int], limit: int) -> None:
        """From now on `depth` is asked at each scrape, which costs the hot path nothing."""
        self._families.queues.open(self.name, depth, limit)

    def queue_closed(self, depth: Callable[[], int]) -> None:
        """The queue that was opened with `depth` is gone."""
        self._families.queues.close(self.name, depth)

    def loaded(self, *, variant: str, providers: Sequence[str], sha256: str) -> None:
        """Tell what serves: the variant, the providers that really run, the graph's digest."""
        self._info_labels = (self.name, self.version, variant, ",".join(providers), sha256)
        self._families.info.labels(*self._info_labels).set(1)

    def ready(self, is_ready: bool) -> None:
        """Whether this version takes requests."""
        self._ready.set(is_ready)

    def retired(self) -> None:
        """This version is no longer live."""
        self._ready.set(0)
        if self._info_labels:
            self._families.info.remove(*self._info_labels)
            self._info_labels = ()


class _ModelFamilies:
    """The series that exist once for each model."""

    def __init__(self, make: _Maker) -> None:
        self.stage_seconds = make.histogram(
            "stage_duration_seconds", "Time in one stage of the way.", "model", "stage"
        )
        self.batch_size = make.histogram(
            "batch_size", "Items that ran together.", "model", buckets=SIZE_BUCKETS
        )
        self.executions = make.counter("executions", "Batches that ran.", "model")
        self.inferences = make.counter("inferences", "Items that ran.", "model")
        self.items = make.counter("items", "Items by how they ended.", "model", "outcome")
        self.generated_tokens = make.counter("generated_tokens", "Tokens written.", "model")
        self.ready = make.gauge("model_ready", "1 while it takes requests.", "model", "version")
        self.info = make.gauge(
            "model_info",
            "What serves; always 1.",
            *("model", "version", "variant", "providers", "sha256"),
        )
        self.queues = _Queues(
            make.gauge("queue_depth", "Items that wait for their batch.", "model"),
            make.gauge("queue_limit", "Items that may wait before more are refused.", "model"),
        )


class _Queues:
    """Sums the open queues of each model: while versions change over, two are live."""

    def __init__(self, depth: Gauge, limit: Gauge) -> None:
        self._depth = depth
        self._limit = limit
        self._open: dict[str, tuple[tuple[Callable[[], int], int], ...]] = {}

    def open(self, model: str, depth: Callable[[], int], limit: int) -> None:
        self._replace(model, (*self._open.get(model, ()), (depth, limit)))

    def close(self, model: str, depth: Callable[[], int]) -> None:
        self._replace(model, tuple(q for q in self._open.get(model, ()) if q[0] != depth))

    def _replace(self, model: str, queues: tuple[tuple[Callable[[], int], int], ...]) -> None:
        self._open[model] = queues
        self._depth.labels(model).set_function(lambda: sum(depth() for depth, _ in queues))
        self._limit.labels(model).set(sum(limit for _, limit in queues))


class _Maker:
    """Makes series with the prefix of the project in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"slipway_{name}", help_text, labels, registry=self._registry)

    def gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"slipway_{name}", help_text, labels, registry=self._registry)

    def histogram(
        self, name: str, help_text: str, *labels: str, buckets: Sequence[float] = DURATION_BUCKETS
    ) -> Histogram:
        return Histogram(
            f"slipway_{name}", help_text, labels, buckets=buckets, registry=self._registry
        )

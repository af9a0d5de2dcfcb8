"""Everything that /metrics tells: the requests, the process, and through `model` the models."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from service.metrics.model import ModelFamilies, ModelMetrics
from service.metrics.requests import RequestFamilies, RequestKind
from service.metrics.resources import Resources
from service.metrics.series import Maker
from service.metrics.words import UNKNOWN, Outcome

MakeModelMetrics = Callable[[ModelFamilies, str, str], ModelMetrics]


class Metrics:
    """All series of one registry. Safe to call from any thread, but for `request_began` and
    `request_ended`, which belong to the event loop.
    """

    @classmethod
    def create(
        cls, registry: CollectorRegistry, of_model: MakeModelMetrics = ModelMetrics
    ) -> Metrics:
        """Register all series, and those of the process, in `registry`.

        `of_model` makes what a model reports to.
        """
        # a third more series, which nothing reads
        disable_created_metrics()  # type: ignore[no-untyped-call]
        ProcessCollector(registry=registry)
        Resources(registry)
        return cls(registry, of_model)

    def __init__(
        self, registry: CollectorRegistry, of_model: MakeModelMetrics = ModelMetrics
    ) -> None:
        make = Maker(registry)
        self._of_model = of_model
        self._registry = registry
        self._requests = RequestFamilies(make, self._labels_of)
        self._build = make.gauge("build_info", "Versions that run; always 1.", "version", "python")
        self._loop_lag = make.histogram(
            "event_loop_lag_seconds", "How late the event loop wakes up its sleepers."
        )
        self._of_models = ModelFamilies(make)
        self._models: dict[tuple[str, str], ModelMetrics] = {}
        self._names: set[str] = set()

    def requests_expected(self, endpoint: str, model: str = "", version: str = "") -> None:
        """Requests for this endpoint and model may come: count from 0, not from the first one."""
        self._requests.expected(endpoint, model, version)

    def request_began(self) -> None:
        """One more request is in flight."""
        self._requests.began()

    def request_ended(
        self,
        endpoint: str,
        model: str,
        version: str,
        outcome: Outcome,
        seconds: float,
        trace_id: str = "",
    ) -> None:
        """One request fewer is in flight.

        `endpoint` is the path of a route and comes from the code. `model` and `version` may be
        what the client asked for: what was never loaded is counted as "unknown". Both are empty
        where a request has no model. `trace_id` becomes an exemplar of the duration.
        """
        self._requests.ended(endpoint, model, version, outcome, seconds, trace_id)

    def request_over(self, kind: RequestKind, seconds: float, trace_id: str = "") -> None:
        """A request came and was over at once, without a beginning; see `request_ended`."""
        self._requests.over(kind, seconds, trace_id)

    def model(self, name: str, version: int | str) -> ModelMetrics:
        """The series of one loaded model; the same object for the same name and version."""
        key = (name, str(version))
        if key not in self._models:
            self._models[key] = self._of_model(self._of_models, *key)
            self._names.add(name)
        return self._models[key]

    def _labels_of(self, model: str, version: str) -> tuple[str, str]:
        if not model or (model, version) in self._models:
            return model, version
        return model if model in self._names else UNKNOWN, UNKNOWN

    def model_load_ended(self, *, ok: bool, seconds: float) -> None:
        """A model was loaded, or was found broken, `seconds` after the attempt began."""
        self._of_models.life.load_ended(ok=ok, seconds=seconds)

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

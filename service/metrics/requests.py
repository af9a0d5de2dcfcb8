"""Requests: how many, how they ended, how long they took, how many are under way."""

from collections.abc import Callable
from typing import get_args

from prometheus_client import Counter, Histogram

from service.metrics.backlog import MOST, taken
from service.metrics.series import Maker
from service.metrics.words import Outcome

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


# of request: endpoint, model, version, and how it ended
RequestKind = tuple[str, str, str, Outcome]


class RequestFamilies:
    """The series of requests. They begin and end on the event loop alone; each leaves one note,
    and notes are counted many in a row. `labels_of` tells how a model and its version are counted.

    The duration has the outcome as a label: a refusal takes no time at all, and must not make a
    latency objective look well. Objectives look at outcome="ok".
    """

    def __init__(self, make: Maker, labels_of: Callable[[str, str], tuple[str, str]]) -> None:
        self._labels_of = labels_of
        self._notes: list[tuple[RequestKind, float, str]] = []
        self._settle = make.noted(self._count)
        self._total = make.counter(
            "requests", "Requests by how they ended.", "endpoint", "model", "version", "outcome"
        )
        self._seconds = make.histogram(
            "request_duration_seconds", "First byte in to last byte out.", "endpoint", "outcome"
        )
        self._began = self._ended = 0
        inflight = make.gauge("inflight_requests", "Requests that have no answer yet.")
        inflight.set_function(lambda: self._began - self._ended)

    def expected(self, endpoint: str, model: str, version: str) -> None:
        """Such requests will come: their counts stand at 0 from now on, for the sake of rates."""
        for outcome in OUTCOMES:
            self._total.labels(endpoint, model, version, outcome)
        self._seconds.labels(endpoint, "ok")

    def began(self) -> None:
        """One more is in flight."""
        self._began += 1

    def ended(
        self,
        endpoint: str,
        model: str,
        version: str,
        outcome: Outcome,
        seconds: float,
        trace_id: str = "",
    ) -> None:
        """One fewer is in flight; `trace_id` is where somebody can see what took so long."""
        self._ended += 1
        self.over((endpoint, model, version, outcome), seconds, trace_id)

    def over(self, kind: RequestKind, seconds: float, trace_id: str = "") -> None:
        """One came and was over at once; see `ended`."""
        self._notes.append((kind, seconds, trace_id))
        if len(self._notes) >= MOST:
            self._settle()

    def _count(self) -> None:
        alike: dict[RequestKind, list[tuple[float, str]]] = {}
        for kind, seconds, trace_id in taken(self._notes):
            alike.setdefault(kind, []).append((seconds, trace_id))
        for kind, ended in alike.items():
            total, durations = self._children(kind)
            Counter.inc(total, len(ended))  # its own `inc` would only note it
            for seconds, trace_id in ended:
                exemplar = {"trace_id": trace_id} if trace_id else None
                Histogram.observe(durations, seconds, exemplar)

    def _children(self, kind: RequestKind) -> tuple[Counter, Histogram]:
        endpoint, model, version, outcome = kind
        model, version = self._labels_of(model, version)
        total = self._total.labels(endpoint, model, version, outcome)
        return total, self._seconds.labels(endpoint, outcome)

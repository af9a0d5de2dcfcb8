"""Requests: how many, how they ended, how long they took, how many are under way."""

from typing import get_args

from prometheus_client import Counter, Histogram

from service.metrics.series import Maker
from service.metrics.words import Outcome

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class RequestFamilies:
    """The series of requests. They are counted on the event loop alone.

    The duration has the outcome as a label: a refusal takes no time at all, and must not make a
    latency objective look well. Objectives look at outcome="ok".
    """

    def __init__(self, make: Maker) -> None:
        self._total = make.counter(
            "requests", "Requests by how they ended.", "endpoint", "model", "version", "outcome"
        )
        self._seconds = make.histogram(
            "request_duration_seconds", "First byte in to last byte out.", "endpoint", "outcome"
        )
        self._began = self._ended = 0
        inflight = make.gauge("inflight_requests", "Requests that have no answer yet.")
        inflight.set_function(lambda: self._began - self._ended)
        self._children: dict[tuple[str, str, str, Outcome], tuple[Counter, Histogram]] = {}

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
        key = (endpoint, model, version, outcome)
        children = self._children.get(key)
        if children is None:
            children = (self._total.labels(*key), self._seconds.labels(endpoint, outcome))
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds, {"trace_id": trace_id} if trace_id else None)

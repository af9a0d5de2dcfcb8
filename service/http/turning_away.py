"""Refusals of requests that nobody read: under overload there are more of them than of answers, so
what many have in common is made once.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from service.errors import ServiceError
from service.http.access_log import Access, AccessLog, Steady
from service.http.answers import problem_form
from service.http.errors import Problem, Refusal, problem_of
from service.http.exchange import Asked, new_request_id
from service.metrics import Metrics
from service.tracing.current import RequestTracer

MOST_KEPT = 256


def _once(body: bytes) -> bool:
    return False


class Refused(NamedTuple):
    """Why a door refuses a request, and which model would do so.

    `again` tells whether the next one who asks the same, with this body, is refused for it, too;
    where it says so, that one is counted like the first.
    """

    error: ServiceError | Refusal
    model: str = ""
    version: str = ""
    again: Callable[[bytes], bool] = _once


# Whether a request is refused before its body is read; the bytes of that are None where they came
# in pieces.
Door = Callable[[Asked, bytes | None], Refused | None]


class TurnedAway:
    """What all requests are told that are refused alike: the same but for their ids."""

    __slots__ = ("_always", "_form", "_keep_alive", "_kind", "_problem", "_steady", "_turning_away")

    def __init__(
        self, problem: Problem, steady: Steady, turning_away: "TurningAway", *, keep_alive: bool
    ) -> None:
        _, endpoint, _, _, outcome, model, version = self._steady = steady
        self._kind = (endpoint, model, version, outcome)
        self._problem = problem
        self._turning_away = turning_away
        self._keep_alive = keep_alive
        self._always = self._form = b""

    def answer(self, always: bytes, began_s: float) -> bytes:
        """The whole answer to one that came at `began_s` and is over now; takes note of it.

        `always` are the header fields of every answer, each with its line end.
        """
        if always is not self._always:
            self._always = always
            self._form = problem_form(self._problem, always, keep_alive=self._keep_alive)
        noting = self._turning_away
        request_id, lines, trace, trace_id = new_request_id(), b"", None, ""
        if noting.tracer is not None:
            trace = noting.tracer.begin(self._steady[0], None)
            lines, trace_id = b"traceparent: %b\r\n" % trace.traceparent, trace.trace_id
        seconds = time.monotonic() - began_s
        access = Access(*self._steady, request_id, 0, trace_id, began_s, seconds)
        noting.count(self._kind, seconds, trace_id)
        noting.log(access)
        if trace is not None:
            trace.ended(**access.attributes())
        return self._form % (lines, request_id, request_id)


class TurningAway:
    """Turns requests away, and takes note of each."""

    def __init__(
        self, metrics: Metrics, access_log: AccessLog, tracer: RequestTracer | None
    ) -> None:
        self.count = metrics.request_over
        self.log = access_log.note
        self.tracer = tracer
        self._told: dict[tuple[Any, ...], TurnedAway] = {}

    def by(
        self,
        refused: Refused,
        endpoint: str,
        path: bytes,
        *,
        method: str = "POST",
        keep_alive: bool = True,
    ) -> TurnedAway:
        """What those are told who are refused like this; the same object for the same words."""
        error, model, version, _ = refused
        words = type(error), *vars(error).values()
        key = words, model, version, method, endpoint, path, keep_alive
        told = self._told.get(key)
        if told is None:
            if len(self._told) >= MOST_KEPT:
                self._told.clear()
            problem = problem_of(error)
            steady = method, endpoint, path, problem.status, problem.outcome, model, version
            told = TurnedAway(problem, steady, self, keep_alive=keep_alive)
            self._told[key] = told
        return told

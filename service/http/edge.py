"""The outermost layer: every request passes here once on its way in and once on its way out.

It refuses what is too big, too slow or compressed; turns every error into problem+json; and
counts each request under exactly one outcome, so that the sum over outcomes is what was received.
Requests come by ASGI, or by the short way of `direct`, which the connections take by themselves.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Cancelled, NotReady
from service.http.access_log import Access, AccessLog, NoAccessLog
from service.http.asgi import AsgiExchange
from service.http.errors import PROBLEM_JSON, Problem, problem_of
from service.http.exchange import UNROUTED, Exchange
from service.http.limits import Limits, check_head
from service.http.turning_away import Door, TurningAway
from service.metrics import Metrics
from service.tracing.current import RequestTrace, RequestTracer, served

# To the JSON of a 200, or None where it told its answer in events. May run outside of any task, so
# it may await futures and nothing that asks for the current task, as `asyncio.timeout` does.
Endpoint = Callable[[Exchange], Awaitable[bytes | None]]


log = logging.getLogger("slipway.http")


@dataclass(frozen=True, slots=True)
class Watching:
    """Who takes note of every request, beside the metrics."""

    access_log: AccessLog = field(default_factory=NoAccessLog)
    tracer: RequestTracer | None = None


class Edge:
    """Wraps the application. `direct` endpoints are called without a walk through its router.

    The walk and its request and response objects cost as much as all the rest of a request; the
    same endpoints are registered in the application too, which documents them. `doors` stand before
    some of them: under overload a refusal must cost next to nothing.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        direct: Mapping[tuple[str, str], Endpoint],
        limits: Limits,
        metrics: Metrics,
        watching: Watching | None = None,
        doors: Mapping[tuple[str, str], Door] | None = None,
    ) -> None:
        self._app = app
        self._metrics = metrics
        watching = watching or Watching()
        self._access_log = watching.access_log
        self._tracer = watching.tracer
        self.turning_away = TurningAway(metrics, watching.access_log, watching.tracer)
        self.direct = direct
        self.doors = doors or {}
        self.limits = limits

    # By ASGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI; the server is configured to send neither lifespan nor WebSocket events."""
        if scope["type"] != "http":
            raise NotImplementedError(f"no {scope['type']} here")
        exchange = AsgiExchange(scope, receive, send, self.limits)
        served.set(exchange)  # for this task alone
        self.begin(exchange)
        try:
            await self._answer(exchange, scope)
        finally:
            exchange.close()
            if exchange.endpoint == UNROUTED:
                exchange.endpoint = getattr(scope.get("route"), "path", UNROUTED)
            self.end(exchange)

    async def _answer(self, exchange: AsgiExchange, scope: Scope) -> None:
        try:
            check_head(exchange, self.limits)
            exchange.expect_body()
            await self._dispatch(exchange, scope)
        except asyncio.CancelledError:
            await self._refuse(exchange, exchange.accept_interruption() or stopped())
        except Exception as error:
            await self._refuse(exchange, error)

    async def _dispatch(self, exchange: AsgiExchange, scope: Scope) -> None:
        endpoint = self.direct.get((exchange.method, exchange.path))
        if endpoint is None:
            asked = {**scope, "method": "GET"} if exchange.method == "HEAD" else scope
            try:
                await self._app(asked, exchange.receive, exchange.send)
            finally:
                scope.update(route=asked.get("route"))  # by which it is counted
        else:
            exchange.endpoint = exchange.path
            await exchange.reply(await endpoint(exchange))
        exchange.outcome = "ok" if exchange.status < HTTPStatus.BAD_REQUEST else "client_error"

    async def _refuse(self, exchange: AsgiExchange, error: BaseException) -> None:
        problem = self.judge(exchange, error)
        if exchange.started:
            raise error  # too late for an answer: the server closes the connection
        exchange.close()
        if not isinstance(error, Cancelled):
            await _send_problem(exchange, problem)

    # By both ways

    def begin(self, exchange: Exchange) -> None:
        """A request is there."""
        self._metrics.request_began()
        if self._tracer is not None:
            exchange.trace = self._tracer.begin(
                exchange.method, exchange.headers.get(b"traceparent")
            )

    def judge(self, exchange: Exchange, error: BaseException) -> Problem:
        """The problem that this error is to the client, its outcome and status noted."""
        problem = problem_of(error)
        if problem.is_our_mistake:
            _log_mistake(exchange, error)
        exchange.outcome = problem.outcome
        exchange.status = problem.status
        return problem

    def end(self, exchange: Exchange) -> None:
        """The request has come to its end, whatever that was."""
        self._note(Access.of(exchange, time.monotonic() - exchange.began_s), exchange.trace)

    def _note(self, access: Access, trace: RequestTrace | None) -> None:
        self._metrics.request_ended(
            access.endpoint,
            access.model,
            access.version,
            access.outcome,
            access.seconds,
            access.trace_id,
        )
        self._access_log.note(access)
        if trace is not None:
            trace.ended(**access.attributes())


def stopped() -> NotReady:
    """The error of a request that the server cuts short."""
    return NotReady("The service is shutting down and cut this request short; send it again.")


async def _send_problem(exchange: AsgiExchange, problem: Problem) -> None:
    body = problem.body(exchange.request_id)
    headers = [
        (b"content-type", PROBLEM_JSON),
        (b"content-length", b"%d" % len(body)),
        *problem.headers,
    ]
    if not exchange.body_complete:
        headers.append((b"connection", b"close"))  # nobody will read the rest of that body
    await exchange.send(
        {"type": "http.response.start", "status": problem.status, "headers": headers}
    )
    await exchange.send({"type": "http.response.body", "body": body})


def _log_mistake(exchange: Exchange, error: BaseException) -> None:
    log.error(
        "unexpected error", exc_info=error, extra={"request_id": exchange.request_id.decode()}
    )

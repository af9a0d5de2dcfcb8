"""The outermost ASGI layer: every request passes here once on its way in and once on its way out.

It refuses what is too big, too slow or compressed; turns every error into problem+json; and
counts each request under exactly one outcome, so that the sum over outcomes is what was received.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Cancelled, NotReady
from service.http.access_log import AccessLog, NoAccessLog
from service.http.errors import PROBLEM_JSON, Problem, problem_of
from service.http.exchange import UNROUTED, Exchange
from service.http.limits import Limits, check_head
from service.metrics import Metrics

Endpoint = Callable[[Exchange], Awaitable[bytes]]  # to the JSON of a 200

log = logging.getLogger("slipway.http")


class Edge:
    """Wraps the application. `direct` endpoints are called without a walk through its router.

    The walk and its request and response objects cost as much as all the rest of a request; the
    same endpoints are registered in the application too, which documents them.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        direct: Mapping[tuple[str, str], Endpoint],
        limits: Limits,
        metrics: Metrics,
        access_log: AccessLog | None = None,
    ) -> None:
        self._app = app
        self._direct = direct
        self._limits = limits
        self._metrics = metrics
        self._access_log = access_log or NoAccessLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI; the server is configured to send neither lifespan nor WebSocket events."""
        if scope["type"] != "http":
            raise NotImplementedError(f"no {scope['type']} here")
        exchange = Exchange(scope, receive, send, self._limits)
        self._metrics.request_began()
        try:
            await self._answer(exchange, scope)
        finally:
            exchange.close()
            self._note(exchange, scope)

    async def _answer(self, exchange: Exchange, scope: Scope) -> None:
        try:
            check_head(scope, exchange.headers, self._limits)
            exchange.expect_body()
            await self._dispatch(exchange, scope)
        except asyncio.CancelledError:
            await self._refuse(exchange, exchange.accept_interruption() or _stopped())
        except Exception as error:
            await self._refuse(exchange, error)

    async def _dispatch(self, exchange: Exchange, scope: Scope) -> None:
        endpoint = self._direct.get((exchange.method, exchange.path))
        if endpoint is None:
            await self._app(scope, exchange.receive, exchange.send)
        else:
            exchange.endpoint = exchange.path
            await exchange.reply(await endpoint(exchange))
        exchange.outcome = "ok" if exchange.status < HTTPStatus.BAD_REQUEST else "client_error"

    async def _refuse(self, exchange: Exchange, error: BaseException) -> None:
        problem = problem_of(error)
        if problem.is_our_mistake:
            _log_mistake(exchange, error)
        exchange.outcome = problem.outcome
        if exchange.started:
            raise error  # too late for an answer: the server closes the connection
        exchange.close()
        if isinstance(error, Cancelled):
            exchange.status = problem.status
        else:
            await _send_problem(exchange, problem)

    def _note(self, exchange: Exchange, scope: Scope) -> None:
        if exchange.endpoint == UNROUTED:
            exchange.endpoint = getattr(scope.get("route"), "path", UNROUTED)
        seconds = time.monotonic() - exchange.began_s
        self._metrics.request_ended(
            endpoint=exchange.endpoint,
            model=exchange.model,
            version=exchange.version,
            outcome=exchange.outcome,
            seconds=seconds,
        )
        self._access_log.note(exchange, seconds)


def _stopped() -> NotReady:
    return NotReady("The service is shutting down and cut this request short; send it again.")


async def _send_problem(exchange: Exchange, problem: Problem) -> None:
    body = problem.body(exchange.request_id.decode())
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

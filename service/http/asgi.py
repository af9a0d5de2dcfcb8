"""The long way of a request: through ASGI, with a task of its own. For all but the hot paths."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager
from typing import Any, cast

from starlette.types import Message, Receive, Scope, Send

from service.errors import Cancelled, ServiceError
from service.http.client_watch import ClientWatch
from service.http.errors import Refusal
from service.http.exchange import EVENTS, JSON, NOSNIFF, Exchange
from service.http.limits import Limits, too_large, too_slow

SCOPE_KEY = "slipway.exchange"


def exchange_of(scope: Scope) -> "AsgiExchange":
    """The exchange that this scope belongs to."""
    return cast(AsgiExchange, scope[SCOPE_KEY])


class AsgiExchange(Exchange):
    """One request by ASGI; made by the edge, found in the scope. Counts the body as it comes."""

    __slots__ = (
        "_receive",
        "_send",
        "_task",
        "_timer",
        "body_bytes",
        "events",
        "interruption",
        "started",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        super().__init__(
            scope["method"],
            scope["path"],
            scope.get("raw_path") or b"",
            scope["query_string"],
            scope["headers"],
        )
        self.bind(limits)
        self._receive = receive
        self._send = send
        self._task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._timer: asyncio.TimerHandle | None = None
        self.body_bytes = 0
        self.body_complete = (
            b"content-length" not in self.headers and b"transfer-encoding" not in self.headers
        )
        self.started = False
        self.events: list[bytes] = []
        self.interruption: ServiceError | Refusal | None = None
        scope[SCOPE_KEY] = self

    # Being stopped

    def expect_body(self) -> None:
        """From now on the rest of the body has to come in time."""
        if not self.body_complete:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.limits.body_s, self._give_up_the_body)

    def _give_up_the_body(self) -> None:
        self.interrupt(too_slow(self.limits.body_s))

    def interrupt(self, reason: ServiceError | Refusal) -> None:
        """Stop working on this request, because of `reason`."""
        if self.interruption is None:
            self.interruption = reason
            self._task.cancel()

    def accept_interruption(self) -> ServiceError | Refusal | None:
        """The reason of the interruption that just ended the work; None if others ended it."""
        if self.interruption is not None:
            self._task.uncancel()
        return self.interruption

    def close(self) -> None:
        """Stop the clock on the body: it is here, or nobody waits for it any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # The body

    async def body(self) -> bytes:
        """The whole body; raises Cancelled if the client leaves before its end."""
        chunks = [self._chunk(await self.receive())]
        async for chunk in self.chunks():
            chunks.append(chunk)
        return b"".join(chunks)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """What is left of the body, as it comes; raises as `body`."""
        while not self.body_complete:
            yield self._chunk(await self.receive())

    def _chunk(self, message: Message) -> bytes:
        if message["type"] == "http.disconnect":
            raise Cancelled("The client left before its request was complete.")
        return cast(bytes, message.get("body", b""))

    async def receive(self) -> Message:
        """ASGI receive that counts the body and stops at the limit."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.body_bytes += len(message.get("body", b""))
            if self.body_bytes > self.body_limit:
                raise too_large(self.body_limit)
            if not message.get("more_body", False):
                self.body_complete = True
                self.close()
        return message

    def watched(self) -> AbstractContextManager[None]:
        """Interrupts its block once the client has left; to be used when the body is read."""
        return ClientWatch(self._client_left, self.interrupt)

    async def _client_left(self) -> bool:
        message = await self._receive()
        return bool(message["type"] == "http.disconnect")

    # The answer

    def tell(self, event: bytes) -> None:
        """Leave it out: on this way events come with the answer."""

    def tell_last(self, event: bytes) -> None:
        """Keep it for the answer."""
        self.events.append(event)

    async def reply(self, body: bytes | None) -> None:
        """Answer 200 with this JSON, or with the events."""
        kind = EVENTS if body is None else JSON
        body = b"".join(self.events) if body is None else body
        headers = [kind, (b"content-length", b"%d" % len(body))]
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def send(self, message: Message) -> None:
        """ASGI send that signs every answer with the request's id."""
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            message["headers"] = [
                *message.get("headers", ()),
                (b"x-request-id", self.request_id),
                NOSNIFF,
            ]
            if self.trace is not None:
                message["headers"].append((b"traceparent", self.trace.traceparent))
        await self._send(message)

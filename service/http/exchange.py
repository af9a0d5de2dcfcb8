"""One request and its answer: the body counted as it comes, and what is noted at the end."""

import asyncio
import os
import re
import time
from collections.abc import AsyncGenerator
from itertools import count
from typing import Any, cast
from urllib.parse import parse_qsl

from starlette.types import Message, Receive, Scope, Send

from service.errors import Cancelled, InvalidInput, ServiceError
from service.http.errors import Refusal
from service.http.limits import Limits, too_large, too_slow
from service.metrics import Outcome

SCOPE_KEY = "slipway.exchange"
UNROUTED = "other"  # the endpoint of a request for a path that does not exist
SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")
MAX_TIMEOUT_DIGITS = 9
MAX_QUERY_FIELDS = 16
NOSNIFF = (b"x-content-type-options", b"nosniff")
JSON = (b"content-type", b"application/json")

# Unique in this process by the number and between processes by the prefix; far cheaper than a UUID.
_number = count(1)
_prefix = os.urandom(6).hex().encode()


def exchange_of(scope: Scope) -> "Exchange":
    """The exchange that this scope belongs to."""
    return cast(Exchange, scope[SCOPE_KEY])


class Exchange:
    """The state of one request on its way in and out; made by the edge, found in the scope."""

    __slots__ = (
        "_limits",
        "_receive",
        "_send",
        "_task",
        "_timer",
        "began_s",
        "body_bytes",
        "body_complete",
        "body_limit",
        "endpoint",
        "headers",
        "interruption",
        "items",
        "method",
        "model",
        "outcome",
        "path",
        "request_id",
        "scope",
        "started",
        "status",
        "version",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._timer: asyncio.TimerHandle | None = None
        self.scope = scope
        self.began_s = time.monotonic()
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.body_bytes = 0
        self.body_limit = limits.body_limit(self.path)
        self.body_complete = (
            b"content-length" not in self.headers and b"transfer-encoding" not in self.headers
        )
        self.endpoint = UNROUTED
        self.model = self.version = ""
        self.items = self.status = 0
        self.outcome: Outcome = "failed"
        self.started = False
        self.interruption: ServiceError | Refusal | None = None
        self.request_id = self._chosen_id()
        scope[SCOPE_KEY] = self

    def _chosen_id(self) -> bytes:
        given = self.headers.get(b"x-request-id")
        if given is not None and SANE_REQUEST_ID.fullmatch(given):
            return given
        return b"%s-%x" % (_prefix, next(_number))

    # Being stopped

    def expect_body(self) -> None:
        """From now on the rest of the body has to come in time."""
        if not self.body_complete:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._limits.body_s, self._give_up_the_body)

    def _give_up_the_body(self) -> None:
        self.interrupt(too_slow(self._limits.body_s))

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

    # What the client said

    @property
    def content_type(self) -> str:
        """The Content-Type as sent; empty without one."""
        return self.headers.get(b"content-type", b"").decode("latin-1")

    def query(self) -> dict[str, str]:
        """The fields of the query; raises InvalidInput for too many or odd ones."""
        text: bytes = self.scope["query_string"]
        if not text:
            return {}
        try:
            fields = parse_qsl(
                text.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MAX_QUERY_FIELDS,
            )
        except ValueError:
            raise InvalidInput("The query cannot be read; send it as ?name=value&…") from None
        return dict(fields)

    def timeout_s(self, most: float) -> float:
        """How long the client waits: X-Request-Timeout-Ms, but never longer than `most`."""
        asked = self.headers.get(b"x-request-timeout-ms")
        if asked is None:
            return most
        if not asked.isdigit() or len(asked) > MAX_TIMEOUT_DIGITS:
            raise InvalidInput("X-Request-Timeout-Ms must be whole milliseconds, such as 500.")
        return min(most, int(asked) / 1000)

    async def body(self) -> bytes:
        """The whole body; raises Cancelled if the client leaves before its end."""
        message = await self.receive()
        if self.body_complete and message["type"] == "http.request":
            return cast(bytes, message.get("body", b""))
        chunks = [self._chunk(message)]
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

    async def client_left(self) -> bool:
        """Wait for the next event from the client; true if it is that the client left."""
        message = await self._receive()
        return bool(message["type"] == "http.disconnect")

    # The answer

    async def reply(self, body: bytes) -> None:
        """Answer 200 with this JSON."""
        await self.send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [JSON, (b"content-length", b"%d" % len(body))],
            }
        )
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
        await self._send(message)

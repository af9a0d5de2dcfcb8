"""Uvicorn's HTTP protocol with what it lacks: limits on the time and size of a request's head, and
patience with a request that arrives while the server leaves.

The body is the edge's matter. A sweep once a second looks for heads that are late; so a request
pays for one look at the clock, and not for a timer.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

SWEEP_S = 1.0
LINGER_S = 0.2
LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class HeadLimitProtocol(HttpToolsProtocol):
    """One connection. `head_began_s` is None while no head is being received."""

    max_head_bytes = 64 << 10
    head_s = 10.0

    head_began_s: float | None = None
    head_bytes = 0
    leaving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new connection owes us a head at once."""
        super().connection_made(transport)
        self.head_began_s = self.loop.time()

    def on_message_begin(self) -> None:
        """The first byte of a request is here."""
        super().on_message_begin()
        self.head_began_s = self.loop.time()
        self.head_bytes = 0

    def on_headers_complete(self) -> None:
        """The head is complete; the edge judges its size once more, by its parts."""
        self.head_began_s = None
        super().on_headers_complete()
        if self.leaving:
            self.cycle.keep_alive = False

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and stop a head that grows without end."""
        awaited_since_s = self.head_began_s
        super().data_received(data)
        # Only what belongs to one head for sure is counted: a chunk may also end a body.
        if awaited_since_s is not None and self.head_began_s == awaited_since_s:
            self.head_bytes += len(data)
            if self.head_bytes > self.max_head_bytes:
                self.end_with(TOO_LARGE)

    def shutdown(self) -> None:
        """The server leaves: answer what is here or just arriving, then close."""
        self.leaving = True
        if self.is_idle:
            # The client may have sent a request that we have not read yet.
            self.loop.call_later(LINGER_S, self.end_if_idle)
        else:
            super().shutdown()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def end_if_idle(self) -> None:
        """Close the connection unless a request came meanwhile."""
        if self.is_idle:
            super().shutdown()

    def end_if_late(self, now_s: float) -> None:
        """Close the connection if its head has been on its way for too long."""
        if self.head_began_s is not None and now_s - self.head_began_s > self.head_s:
            self.end_with(LATE)

    def end_with(self, answer: bytes) -> None:
        """Say why, and close."""
        self.head_began_s = None
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


async def end_late_heads(state: ServerState) -> None:
    """Close for ever what is late; run it as a task beside the server."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_S)
        now_s = loop.time()
        for connection in tuple(state.connections):
            if isinstance(connection, HeadLimitProtocol):
                connection.end_if_late(now_s)


def protocol_with(head_s: float) -> type[HeadLimitProtocol]:
    """The protocol class for uvicorn, which gives a head `head_s` seconds."""
    namespace: dict[str, Any] = {"head_s": head_s}
    return type("BoundHeadLimitProtocol", (HeadLimitProtocol,), namespace)

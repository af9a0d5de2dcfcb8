"""One keep-alive connection on a bare socket: light enough not to be what is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

BROKEN = 0  # the status of a request whose connection ended before its answer


class Connection(asyncio.Protocol):
    """One request at a time; `on_answer` is told the connection and the status of each answer."""

    def __init__(self, on_answer: Callable[[Connection, int], None]) -> None:
        self._on_answer = on_answer
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._asked = False
        self.is_open = False

    def send(self, request: bytes) -> None:
        """Write a request; only when the last one has its answer."""
        assert self._transport is not None
        self._asked = True
        self._transport.write(request)

    def close(self) -> None:
        """End the connection; a request without an answer is not told of any more."""
        self._asked = False
        self.is_open = False
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to send."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Read on; the parser calls `on_message_complete`."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._end(BROKEN)

    def on_message_complete(self) -> None:
        """The answer is here with its whole body."""
        status = self._parser.get_status_code()
        if 100 <= status < 200:  # only an announcement
            return
        if not self._parser.should_keep_alive():
            self._end(status)
        else:
            self._tell(status)

    def connection_lost(self, error: Exception | None) -> None:
        """Whoever still waits gets no answer."""
        self.is_open = False
        self._tell(BROKEN)

    def _end(self, status: int) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.close()
        self._tell(status)

    def _tell(self, status: int) -> None:
        if self._asked:
            self._asked = False
            self._on_answer(self, status)

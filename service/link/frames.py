"""Messages between two processes of one machine, all of one turn of the event loop in one write.

A frame has two lengths (4 bytes each, network order), a JSON array of messages, and the bytes that
belong to them one after the other; a message tells how many of those are its own. Nothing that is
read here can run code, as a pickle could.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable, Iterator
from typing import Any, cast

import orjson

log = logging.getLogger("slipway.link")

HEAD = struct.Struct("!II")

Message = list[Any]


class Payload:
    """The bytes that belong to the messages of a frame, to be taken in their order."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def take(self, size: int) -> bytes:
        """The next `size` bytes; raises ValueError where there are not so many."""
        begin, self._at = self._at, self._at + size
        if self._at > len(self._data):
            raise ValueError("a message tells of more bytes than its frame has")
        return self._data[begin : self._at]


class Frames:
    """Takes a stream of bytes apart."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[list[Message], Payload]]:
        """The frames that are complete by now. Raises ValueError for what is none."""
        rest = self._rest
        rest += data
        begin = 0
        while len(rest) - begin >= HEAD.size:
            told, loaded = HEAD.unpack_from(rest, begin)
            end = begin + HEAD.size + told + loaded
            if end > len(rest):
                break
            frame = bytes(memoryview(rest)[begin + HEAD.size : end])
            begin = end
            yield orjson.loads(memoryview(frame)[:told]), Payload(frame, told)
        if begin:
            del rest[:begin]


class Link(asyncio.Protocol):
    """One end. `made` hears of the connection, `took` of each message, `lost` of the end, once.

    What is read and is no frame ends the connection.
    """

    def __init__(
        self,
        took: Callable[[Message, Payload], None],
        *,
        made: Callable[[], None] = lambda: None,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._took = took
        self._made = made
        self._lost = lost
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._messages: list[bytes] = []
        self._payloads: list[bytes] = []

    def send(self, message: Message, *payloads: bytes) -> None:
        """Send it with all others of this turn of the loop; nobody hears it once the link is lost.

        Raises orjson.JSONEncodeError for a message that is no JSON.
        """
        packed = orjson.dumps(message)
        if self._transport is None:
            return
        if not self._messages:
            asyncio.get_running_loop().call_soon(self._flush)
        self._messages.append(packed)
        self._payloads += payloads

    def close(self) -> None:
        """End the connection once everything is sent."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        self._made()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            for messages, payload in self._frames.feed(data):
                for message in messages:
                    self._took(message, payload)
        except Exception as error:  # what follows cannot be understood either
            log.error("the other process sent what makes no sense", exc_info=error)
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self._lost()

    def _flush(self) -> None:
        messages, self._messages = self._messages, []
        payloads, self._payloads = self._payloads, []
        if messages and self._transport is not None:
            told, loaded = b"[%b]" % b",".join(messages), b"".join(payloads)
            self._transport.write(HEAD.pack(len(told), len(loaded)) + told + loaded)

"""A closed loop of keep-alive clients on raw sockets: light enough not to be what is measured."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast


@dataclass(frozen=True, slots=True)
class Load:
    """Who asks what."""

    host: str
    port: int
    path: str
    bodies: Sequence[bytes]
    content_type: str = "image/jpeg"
    clients: int = 32

    def requests(self) -> list[bytes]:
        """Every body as the bytes of a request."""
        return [
            f"POST {self.path} HTTP/1.1\r\nhost: {self.host}\r\n"
            f"content-type: {self.content_type}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
            for body in self.bodies
        ]


@dataclass(frozen=True, slots=True)
class Seen:
    """What came back; every answer was a 200."""

    answers: int
    rate: float
    latencies_s: list[float] = field(repr=False)

    @property
    def p50_ms(self) -> float:
        """The median latency."""
        return statistics.median(self.latencies_s) * 1000

    @property
    def p99_ms(self) -> float:
        """What one answer in a hundred exceeds."""
        return statistics.quantiles(self.latencies_s, n=100)[98] * 1000


class _Client(asyncio.Protocol):
    """Sends the next request when the answer to the last one is complete."""

    def __init__(self, requests: list[bytes], start: int, until_s: float) -> None:
        self._requests = requests
        self._next = start
        self._until_s = until_s
        self._sent_s = 0.0
        self._buffer = b""
        self.latencies_s: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self._send()

    def data_received(self, data: bytes) -> None:
        """Count a complete answer, and ask again."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        start = head.index(b"content-length: ") + 16
        if len(body) < int(head[start:].split(b"\r\n", 1)[0]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self._fail(RuntimeError(self._buffer.decode()))
            return
        now_s = time.perf_counter()
        self.latencies_s.append(now_s - self._sent_s)
        if now_s < self._until_s:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The end, in good order or not."""
        if error is not None:
            self._fail(error)
        elif not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        self._buffer = b""
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        self._sent_s = time.perf_counter()
        self._transport.write(request)

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


async def drive(load: Load, seconds: float) -> Seen:
    """Keep all clients busy for so long; raises on the first answer that is no 200."""
    loop = asyncio.get_running_loop()
    requests = load.requests()
    began_s = time.perf_counter()
    clients = []
    for number in range(load.clients):
        start = number * len(requests) // load.clients
        _, client = await loop.create_connection(
            lambda start=start: _Client(requests, start, began_s + seconds),  # type: ignore[misc]
            load.host,
            load.port,
        )
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    latencies_s = [seen_s for client in clients for seen_s in client.latencies_s]
    return Seen(len(latencies_s), len(latencies_s) / (time.perf_counter() - began_s), latencies_s)

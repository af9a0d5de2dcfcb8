"""Time that stands still until somebody waits for it, and a server that lives in it."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from service.load.connection import Connection
from service.load.drive import Connect

Result = TypeVar("Result")
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
REFUSED = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"


class _Selector(selectors.DefaultSelector):
    """Never waits: it moves the clock to where the loop wanted to wait until."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("everybody waits for something that will never happen")
        self.now_s += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock only moves when nothing is left to do at this time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._virtual.now_s


def run(make: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """The result of a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(make())


def now_s() -> float:
    return asyncio.get_running_loop().time()


class Server:
    """Answers after `service_s`, so many at a time, in order of arrival.

    `stalls` are spans in which it does nothing, as a server does that collects garbage.
    """

    def __init__(
        self,
        service_s: float,
        *,
        at_once: int = 1000,
        stalls: tuple[tuple[float, float], ...] = (),
        answer: bytes = OK,
    ) -> None:
        self.service_s = service_s
        self.stalls = stalls
        self.answer = answer
        self.arrivals_s: list[float] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self._free_s = [0.0] * at_once

    @property
    def connect(self) -> Connect:
        async def connect(make: Callable[[], Connection]) -> object:
            self.connections += 1
            connection = make()
            connection.connection_made(Wire(self, connection))
            return connection

        return connect

    def take(self, request: bytes, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        self.arrivals_s.append(loop.time())
        self.requests.append(request)
        worker = self._free_s.index(min(self._free_s))
        began_s = max(loop.time(), self._free_s[worker])
        for stall_s, end_s in self.stalls:
            if stall_s <= began_s < end_s:
                began_s = end_s
        self._free_s[worker] = began_s + self.service_s
        loop.call_at(self._free_s[worker], connection.data_received, self.answer)


class Wire(asyncio.Transport):
    """The client's end of a connection to the server."""

    def __init__(self, server: Server, connection: Connection) -> None:
        super().__init__()
        self._server = server
        self._connection = connection
        self.closed = False

    def write(self, data: Any) -> None:
        self._server.take(bytes(data), self._connection)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._connection.connection_lost, None)


async def refuse_to_connect(make: Callable[[], Connection]) -> object:
    raise ConnectionRefusedError("nobody there")


Connecting = Callable[[Callable[[], Connection]], Awaitable[object]]

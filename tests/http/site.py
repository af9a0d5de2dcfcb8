"""A server whose paths go the short way of a request, and a client that sends it bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Metric
from starlette.types import Receive, Scope, Send

from service.errors import InvalidInput, Overloaded, ServiceError
from service.http.direct import DirectExchange
from service.http.edge import Edge, Watching
from service.http.exchange import Asked, Exchange, event_of
from service.http.limits import Limits
from service.http.neighbours import Neighbours
from service.http.protocol import HeadLimitProtocol
from service.http.server import HttpServer, listen, make_server
from service.http.turning_away import Refused
from service.metrics import Metrics

LIMIT = 1000  # bytes of a body


class Site:
    """A server whose /echo and /wait go the short way, and everything else the long way."""

    def __init__(
        self,
        limits: Limits,
        watching: Watching | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        self.waiting: list[asyncio.Future[bytes]] = []
        self.long_way = 0
        self.closed: ServiceError | None = None
        self.asked: list[tuple[Asked, bytes | None]] = []
        self.edge = Edge(
            self._application,
            direct={
                ("POST", "/echo"): self._echo,
                ("POST", "/wait"): self._wait,
                ("POST", "/fail"): self._fail,
                ("POST", "/off"): self._off_the_loop,
                ("POST", "/grow"): self._grow,
                ("POST", "/twice"): self._twice,
                ("POST", "/clean"): self._clean_up,
            },
            doors={("POST", "/wait"): self._door},
            limits=limits,
            metrics=Metrics.create(self.registry),
            watching=watching,
        )
        self.server: HttpServer = make_server(
            self.edge, limits=limits, drain_s=1, neighbours=neighbours
        )

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.long_way += 1
        while scope["path"] != "/unread" and (await receive()).get("more_body"):
            pass
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"4")],
            }
        )
        await send({"type": "http.response.body", "body": b"long"})

    async def _echo(self, exchange: Exchange) -> bytes:
        return await exchange.body()

    async def _wait(self, exchange: Exchange) -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.waiting.append(answer)
        with exchange.watched():
            return await answer

    def _door(self, asked: Asked, body: bytes | None) -> Refused | None:
        self.asked.append((asked, body))
        return None if self.closed is None else Refused(self.closed, "cats", "2")

    async def _fail(self, exchange: Exchange) -> bytes:
        await asyncio.sleep(0)
        if await exchange.body() == b"full":
            raise Overloaded("Full.", 1.2)
        raise InvalidInput("Send less.")

    async def _off_the_loop(self, exchange: Exchange) -> bytes:
        body = await exchange.body()
        return await asyncio.to_thread(bytes.upper, body)

    async def _grow(self, exchange: Exchange) -> None:
        """Tells what its caller puts into `waiting`; `Overloaded` ends it with an error."""
        while True:
            with exchange.watched():
                news = await self._wait(exchange)
            if not news:
                exchange.tell_last(event_of(b"result", b"{}"))
                return
            exchange.tell(event_of(b"progress", news))

    async def _twice(self, exchange: Exchange) -> bytes:
        return await self._wait(exchange) + await self._wait(exchange)

    async def _clean_up(self, exchange: Exchange) -> bytes:
        """Waits for its caller once more when it is interrupted."""
        try:
            return await self._twice(exchange)
        finally:
            await self._wait(exchange)

    @property
    def connection(self) -> HeadLimitProtocol:
        (connection,) = self.server.server_state.connections
        assert isinstance(connection, HeadLimitProtocol)
        return connection

    @property
    def turn(self) -> DirectExchange:
        """The request that is being answered."""
        turn = self.connection.turn
        assert isinstance(turn, DirectExchange)
        return turn

    def count(self, outcome: str) -> float:
        return sum(
            sample.value
            for family in self._only("slipway_requests_total")
            for sample in family.samples
            if sample.name == "slipway_requests_total" and sample.labels["outcome"] == outcome
        )

    @property
    def in_flight(self) -> float:
        (family,) = self._only("slipway_inflight_requests")
        return family.samples[0].value

    def _only(self, name: str) -> Iterable[Metric]:
        return self.registry.restricted_registry([name]).collect()


@asynccontextmanager
async def serving(
    limits: Limits, watching: Watching | None = None, neighbours: Neighbours | None = None
) -> AsyncIterator[Site]:
    site = Site(limits, watching, neighbours)
    running = asyncio.create_task(site.server.serve([listen("127.0.0.1", 0)]))
    await until(lambda: site.server.started)
    try:
        yield site
    finally:
        site.server.stop()
        await running


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110  # what it waits for has no event
        await asyncio.sleep(0.001)


class Client:
    """A raw connection that sends what it is told and reads answers by their length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, site: Site) -> "Client":
        host, port = site.server.servers[0].sockets[0].getsockname()
        return cls(*await asyncio.open_connection(host, port))

    def send(self, path: str, body: bytes = b"", *fields: str, method: str = "POST") -> None:
        lines = [f"{method} {path} HTTP/1.1", "host: x", *fields]
        if not any(field.startswith(("content-length", "transfer")) for field in fields):
            lines.append(f"content-length: {len(body)}")
        self.writer.write("\r\n".join((*lines, "", "")).encode() + body)

    async def read(self) -> tuple[int, dict[str, str], bytes]:
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return int(status.split()[1]), headers, body

    async def read_chunk(self) -> bytes:
        size = int(await self._reader.readline(), 16)
        return (await self._reader.readexactly(size + 2))[:-2]

    async def read_all(self) -> bytes:
        return await self._reader.read()

    async def is_closed(self) -> bool:
        return await self._reader.read(1) == b""

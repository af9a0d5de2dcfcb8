"""Uvicorn, with every choice pinned and its signal handling left to the composition root."""

import asyncio
import contextlib
import socket
from collections.abc import Generator, Sequence
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from service.http.acceptor import Acceptor
from service.http.edge import Edge
from service.http.limits import Limits
from service.http.neighbours import Neighbours
from service.http.protocol import HeadLimitProtocol, end_late, protocol_with

BACKLOG = 2048
KEEP_ALIVE_S = 75  # longer than the idle time of the usual balancers, so that they close first


class HttpServer(uvicorn.Server):
    """Serves until `stop`; what is in flight then is finished first."""

    def __init__(
        self,
        config: uvicorn.Config,
        protocol: type[HeadLimitProtocol],
        neighbours: Neighbours | None = None,
    ) -> None:
        super().__init__(config)
        self._protocol = protocol
        self._neighbours = neighbours

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the composition root's: uvicorn would end the process by one, not by 0."""
        yield

    async def serve(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Serve, and give up the requests that do not arrive."""
        sweeper = asyncio.create_task(end_late(self.server_state))
        try:
            await super().serve(list(sockets) if sockets is not None else None)
        finally:
            sweeper.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections from now on."""
        make_protocol = partial(
            self._protocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        acceptor = self._protocol.acceptor = Acceptor(sockets or (), make_protocol)
        if self._neighbours is not None:
            self._protocol.neighbours = self._neighbours
            self._neighbours.open(acceptor.adopt)
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is in flight; when that takes too long, answer that the server stops."""
        self._protocol.server_leaves = True  # for connections that are still being taken
        if self._neighbours is not None:
            self._neighbours.close()
        await super().shutdown(sockets)
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, HeadLimitProtocol):
                connection.cut_short()

    def stop(self) -> None:
        """Stop accepting, finish what is in flight, then return from `serve`."""
        self.should_exit = True


def make_server(
    application: ASGIApp,
    *,
    limits: Limits,
    drain_s: float,
    neighbours: Neighbours | None = None,
) -> HttpServer:
    """A server for this application that waits `drain_s` for requests in flight when it stops, and
    shares out connections with its neighbours."""
    protocol = protocol_with(
        limits.header_s, application if isinstance(application, Edge) else None
    )
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(drain_s)),
        backlog=BACKLOG,
    )
    return HttpServer(config, protocol, neighbours)


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound socket; port 0 takes any free one. Raises OSError that tells the address.

    `shared`: other processes of ours listen there too, and the kernel shares out connections.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    listener.set_inheritable(False)
    return listener


def url_of(host: str, port: int) -> str:
    """The URL at which who listens there can be reached from this machine."""
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

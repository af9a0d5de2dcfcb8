"""Other processes that listen at the same port, and the connections that go to and fro."""

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Neighbours(Protocol):
    """Other processes that listen at the same port."""

    @property
    def surplus(self) -> int:
        """How many connections should go to neighbours that have fewer, when they are idle."""
        ...

    def open(self, adopt: Callable[[socket.socket, bool], None]) -> None:
        """This process takes connections now; `adopt` is given those that a neighbour passed on,
        and whether they are idle: a new one owes us a request."""
        ...

    def has(self, connections: int) -> None:
        """This process has so many now."""
        ...

    def takes(self, connection: int, here: int, *, is_idle: bool = False) -> bool:
        """Whether a neighbour took this connection (a file descriptor), since it has fewer than the
        others `here`. Nothing of it may have been read that is not answered."""
        ...

    def close(self) -> None:
        """This process takes none any more."""
        ...


class Adopting(asyncio.Protocol):
    """A protocol that is told when its connection was a neighbour's before."""

    def adopted(self, is_idle: bool) -> None:
        """It was, and stays here; when it is idle, it owes us no request. Before it is made."""


class SharedPortProtocol(HttpToolsProtocol, Adopting):
    """A connection that may be a neighbour's: it is `settled` where it was one's before, and
    `passed_on` where it is one's now. Who `owes_nothing` came idle.
    """

    neighbours: Neighbours | None = None
    settled = passed_on = owes_nothing = False

    def adopted(self, is_idle: bool) -> None:
        """See `Adopting`."""
        self.settled, self.owes_nothing = True, is_idle

    def passes_on(self, transport: asyncio.Transport, here: int, *, is_idle: bool = False) -> bool:
        """Give it to a neighbour that has fewer than the others `here`, if there is one."""
        if self.neighbours is None:
            return False
        connection = transport.get_extra_info("socket").fileno()
        self.passed_on = self.neighbours.takes(connection, here, is_idle=is_idle)
        if self.passed_on:
            transport.abort()  # here; it lives on over there
        return self.passed_on

    def tell_neighbours(self) -> None:
        """So many connections are here now."""
        if self.neighbours is not None:
            self.neighbours.has(len(self.connections))

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, or the connection is a neighbour's."""
        if self.passed_on:
            self.connections.discard(self)
        else:
            super().connection_lost(exc)
        self.tell_neighbours()

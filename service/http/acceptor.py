"""Takes every connection that waits, where libuv accepts one a turn of the event loop.

Under overload a turn is long: hundreds of connections would wait for seconds, with requests that
no deadline counts yet.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

from service.http.neighbours import Adopting

log = logging.getLogger("slipway.http")

# In one go: the requests of those who are here already have their turn, too.
AT_ONCE = 256


class Acceptor:
    """`connected` is to be called for every new connection: others may wait behind it."""

    def __init__(
        self, listeners: Sequence[socket.socket], make_protocol: Callable[[], Adopting]
    ) -> None:
        self._listeners = listeners
        self._make_protocol = make_protocol
        self._due = False
        self._joining: set[asyncio.Task[object]] = set()

    def connected(self) -> None:
        """Look for more of them at the end of this turn."""
        if not self._due and len(self._joining) < AT_ONCE:
            self._due = True
            asyncio.get_running_loop().call_soon(self._accept_all)

    def adopt(self, connection: socket.socket, is_idle: bool) -> None:
        """Take one that a neighbour passed on."""

        def make() -> Adopting:
            protocol = self._make_protocol()
            protocol.adopted(is_idle)
            return protocol

        self._join(connection, make)

    def _accept_all(self) -> None:
        self._due = False
        for listener in self._listeners:
            for _ in range(AT_ONCE):
                try:
                    connection, _ = listener.accept()
                except OSError:  # nobody waits, or the loop's own accepting tells what is wrong
                    break
                self._join(connection, self._make_protocol)

    def _join(self, connection: socket.socket, make: Callable[[], Adopting]) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(make, connection))
        self._joining.add(task)
        task.add_done_callback(self._joined)

    def _joined(self, task: asyncio.Task[object]) -> None:
        self._joining.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, OSError):  # not one that has left already
            log.error("a connection could not be taken", exc_info=error)

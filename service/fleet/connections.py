"""Shares out the connections of one port over the processes that listen there.

The kernel gives a new connection to any of them by a hash, so that of two connections both may be
one's while the other idles. Whoever has more than another passes a newcomer on to the one that has
fewest, over a Unix socket, before anything of it is read; and later, since clients come and go, one
that is idle.
"""

import array
import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from service.fleet.seat import Seat
from service.fleet.shared_numbers import shared_integers

AWAY = 0  # what stands in a seat that takes no connections; else their number and one more
AT_ONCE = 64
NOBODY = 1 << 30  # more connections than there can be
LOOK_S = 0.25
NEW, IDLE = b"n", b"i"


class SharedConnections:
    """One process among the others. Numbers are in memory that all share, each in its seat."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._counts = shared_integers(seat.folder / "connections", seat.count)
        self._counts[seat.number] = AWAY  # of one that died in this seat
        self._door = _socket()
        self._out = _socket()
        path = seat.door_of(seat.number)
        path.unlink(missing_ok=True)
        self._door.bind(str(path))
        self._adopt: Callable[[socket.socket, bool], None] | None = None
        self._next_look: asyncio.TimerHandle | None = None
        self._mine = 0
        self.surplus = 0

    def open(self, adopt: Callable[[socket.socket, bool], None]) -> None:
        """Take connections from now on; `adopt` is given those of the others, and whether they are
        idle."""
        self._adopt = adopt
        asyncio.get_running_loop().add_reader(self._door, self._take_in)
        self.has(0)
        self._look()

    def has(self, connections: int) -> None:
        """This process has so many now."""
        self._mine = connections
        if self._adopt is not None:
            self._counts[self._seat.number] = connections + 1

    def takes(self, connection: int, here: int, *, is_idle: bool = False) -> bool:
        """Whether another process took this connection (a file descriptor), since it has fewer than
        those `here` beside it; then it is only to be closed."""
        if self._adopt is None:
            return False
        least, number = self._least()
        if least >= here:
            return False
        kind, door = IDLE if is_idle else NEW, str(self._seat.door_of(number))
        self._counts[number] += 1  # until it counts for itself, which it may do at once
        try:
            # socket.send_fds of Python 3.11 forgets the address
            fds = array.array("i", [connection])
            self._out.sendmsg([kind], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)], 0, door)
        except OSError:  # it has just gone; or it is behind, and tells once it has looked
            self._counts[number] = AWAY
            return False
        self.surplus = max(0, self.surplus - 1)
        return True

    def close(self) -> None:
        """Take none any more, but for those that are on their way."""
        self._counts[self._seat.number] = AWAY
        self.surplus = 0
        if self._adopt is not None:
            if self._next_look is not None:
                self._next_look.cancel()
            asyncio.get_running_loop().remove_reader(self._door)
            self._take_in()
            self._adopt = None
        self._door.close()
        self._out.close()

    def _least(self) -> tuple[int, int]:
        """How many connections the one of the others has that has fewest, and its number."""
        there = [(self._counts[n] - 1, n) for n in self._seat.others if self._counts[n] != AWAY]
        return min(there, default=(NOBODY, -1))

    def _look(self) -> None:
        """Find out, now and then, how many of ours should be another's; and tell once more how many
        there are, since others may have counted one that never came."""
        self.has(self._mine)
        self.surplus = max(0, (self._mine - self._least()[0]) // 2)
        self._next_look = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _take_in(self) -> None:
        assert self._adopt is not None
        for _ in range(AT_ONCE):
            try:
                kind, connections, _, _ = socket.recv_fds(self._door, 1, 1)
            except OSError:  # no more of them
                return
            for connection in connections:
                with suppress(OSError):  # its client has left
                    self._adopt(socket.socket(fileno=connection), kind == IDLE)


def _socket() -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.setblocking(False)
    return found

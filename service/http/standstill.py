"""Whether a client still takes what it is sent: neither answers nor a connection that is to close
may wait for ever for one that reads nothing.
"""

import asyncio
from fcntl import ioctl
from struct import unpack
from termios import TIOCOUTQ

STUCK_S = 30.0


class Standstill:
    """Looks at one connection, now and then while there is something for the client to take."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: tuple[int, float] | None = None  # bytes, and since when they are as many

    def forget(self) -> None:
        """There is nothing that the client would have to take."""
        self._seen = None

    def lasts(self, transport: asyncio.Transport, now_s: float) -> bool:
        """Whether nothing has moved for `STUCK_S`.

        Not the buffer here alone: the kernel takes more only once much of its own is empty.
        """
        size = transport.get_write_buffer_size() + unsent(transport)
        if self._seen is None or size != self._seen[0]:
            self._seen = (size, now_s)
        return now_s - self._seen[1] > STUCK_S


def unsent(transport: asyncio.Transport) -> int:
    """How many bytes the kernel holds that the client has not taken, where the system tells."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return 0
    try:
        (count,) = unpack("i", ioctl(connection.fileno(), TIOCOUTQ, bytes(4)))
    except OSError:  # not here, or no longer
        return 0
    return int(count)

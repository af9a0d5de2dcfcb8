"""Heads that were read before: a client sends the same one again and again, so that what it means
can be looked up by its bytes, without parser and checks.
"""

from typing import NamedTuple

from service.http.exchange import Asked, Fields
from service.http.routes import DirectRoute

END = b"\r\n\r\n"
MOST_BYTES = 1024  # of a head that is kept
MOST_HEADS = 1024

# Whoever sends these sends another value each time, or asks for another way.
UNSTEADY = frozenset(
    (b"x-request-id", b"traceparent", b"tracestate", b"expect", b"transfer-encoding", b"connection")
)

# How clients write the field that differs from body to body.
LENGTHS = (b"\r\ncontent-length: ", b"\r\nContent-Length: ")


class KnownHead(NamedTuple):
    """What a head means but for its Content-Length; it passed all checks, and `most_bytes` of a
    body pass them too.
    """

    route: DirectRoute
    asked: Asked
    fields: Fields
    most_bytes: int


class Heads:
    """Shared by the connections of a server. Heads that differ in Content-Length alone are one."""

    def __init__(self) -> None:
        self._known: dict[bytes, KnownHead] = {}

    def find(self, data: bytes) -> tuple[KnownHead, bytes] | None:
        """The known head of the one whole request that `data` is, and its body."""
        size = data.find(END, 0, MOST_BYTES) + len(END)
        key, told = _parted(data, size)
        known = self._known.get(key)
        length = len(data) - size
        if known is None or told != b"%d" % length or length > known.most_bytes:
            return None
        return known, data[size:]

    def learn(self, data: bytes, route: DirectRoute, asked: Asked, fields: Fields) -> bool:
        """Whether `data` is one whole request; keeps its head if it may come again.

        `data` begins with a request, which the parser has read and which passed all checks.
        """
        lengths = [value for name, value in fields if name == b"content-length"]
        size = data.find(END) + len(END)
        if len(lengths) != 1 or len(data) - size != int(lengths[0]):
            return False
        key, told = _parted(data, size)
        if told and size <= MOST_BYTES and not any(name in UNSTEADY for name, _ in fields):
            if len(self._known) >= MOST_HEADS:
                self._known.clear()
            most_bytes = route.edge.limits.body_limit(route.path)
            others = [field for field in fields if field[0] != b"content-length"]
            self._known[key] = KnownHead(route, asked, others, most_bytes)
        return True


def _parted(data: bytes, size: int) -> tuple[bytes, bytes]:
    """The head of this size without the digits of its first Content-Length, and those digits."""
    for name in LENGTHS:
        start = data.find(name, 0, size)
        if start >= 0:
            start += len(name)
            end = data.find(b"\r\n", start, size)
            return data[:start] + data[end:size], data[start:end]
    return data[:size], b""

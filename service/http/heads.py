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


class KnownHead(NamedTuple):
    """What a head means; it passed all checks. `body_bytes` is its Content-Length."""

    route: DirectRoute
    asked: Asked
    fields: Fields
    body_bytes: int


class Heads:
    """Shared by the connections of a server."""

    def __init__(self) -> None:
        self._known: dict[bytes, KnownHead] = {}

    def find(self, data: bytes) -> tuple[KnownHead, bytes] | None:
        """The known head of the one whole request that `data` is, and its body."""
        size = data.find(END, 0, MOST_BYTES) + len(END)
        known = self._known.get(data[:size])
        if known is None or len(data) - size != known.body_bytes:
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
        if size <= MOST_BYTES and not any(name in UNSTEADY for name, _ in fields):
            if len(self._known) >= MOST_HEADS:
                self._known.clear()
            self._known[data[:size]] = KnownHead(route, asked, fields, int(lengths[0]))
        return True

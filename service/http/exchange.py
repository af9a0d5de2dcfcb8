"""One request and its answer: what the client said, and what is noted at the end.

How its bytes come and go is the matter of the two kinds of exchange: `asgi` and `direct`.
"""

import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager
from itertools import count
from math import inf
from typing import NamedTuple, get_args
from urllib.parse import parse_qsl

from service.batching.policy import Priority
from service.errors import InvalidInput
from service.http.limits import Limits
from service.metrics import Outcome
from service.tracing.current import RequestTrace

UNROUTED = "other"  # the endpoint of a request for a path that does not exist
SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")
MAX_TIMEOUT_DIGITS = 100
MAX_QUERY_FIELDS = 16
NOSNIFF = (b"x-content-type-options", b"nosniff")
JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream")

PRIORITIES: tuple[Priority, ...] = get_args(Priority)

Fields = Sequence[tuple[bytes, bytes]]  # of a head; the names in small letters

# Unique in this process by the number and between processes by the prefix; far cheaper than a UUID.
_number = count(1)
_prefix = os.urandom(6).hex().encode()
OWN_ID_BYTES = 25


class Asked(NamedTuple):
    """What the head of a request asks for; `timeout_s` is infinite where it does not say."""

    query_string: bytes
    priority: Priority
    timeout_s: float


def new_request_id() -> bytes:
    """For a request that brought none; of `OWN_ID_BYTES`, as every one."""
    return b"%b-%012x" % (_prefix, next(_number))


class Exchange(ABC):
    """The state of one request on its way in and out."""

    __slots__ = (
        "began_s",
        "body_complete",
        "body_limit",
        "endpoint",
        "fields",
        "headers",
        "items",
        "limits",
        "method",
        "model",
        "outcome",
        "path",
        "query_string",
        "raw_path",
        "request_id",
        "status",
        "trace",
        "version",
    )

    def __init__(
        self, method: str, path: str, raw_path: bytes, query_string: bytes, fields: Fields
    ) -> None:
        self.began_s = time.monotonic()
        self.method = method
        self.path = path
        self.raw_path = raw_path
        self.query_string = query_string
        self.fields = fields
        self.headers = headers = dict(fields)
        self.body_complete = False
        self.endpoint = UNROUTED
        self.model = self.version = ""
        self.items = self.status = 0
        self.outcome: Outcome = "failed"
        self.trace: RequestTrace | None = None
        given = headers.get(b"x-request-id")
        if given is None or SANE_REQUEST_ID.fullmatch(given) is None:
            given = new_request_id()
        self.request_id = given

    def bind(self, limits: Limits) -> None:
        """Obey these limits."""
        self.limits = limits
        self.body_limit = limits.body_limit(self.path)

    # What the client said

    @property
    def content_type(self) -> str:
        """The Content-Type as sent; empty without one."""
        return self.headers.get(b"content-type", b"").decode("latin-1")

    def query(self) -> dict[str, str]:
        """The fields of the query; raises InvalidInput for too many or odd ones."""
        if not self.query_string:
            return {}
        try:
            fields = parse_qsl(
                self.query_string.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MAX_QUERY_FIELDS,
            )
        except ValueError:
            raise InvalidInput("The query cannot be read; send it as ?name=value&…") from None
        return dict(fields)

    def asked(self) -> Asked:
        """What a door looks at; raises InvalidInput as `priority` and `timeout_s` do."""
        return Asked(self.query_string, self.priority(), self.timeout_s(inf))

    def timeout_s(self, most: float) -> float:
        """How long the client waits: X-Request-Timeout-Ms, but never longer than `most`."""
        asked = self.headers.get(b"x-request-timeout-ms")
        if asked is None:
            return most
        asked = asked.strip()
        if not asked.isdigit() or len(asked) > MAX_TIMEOUT_DIGITS:
            raise InvalidInput("X-Request-Timeout-Ms must be whole milliseconds, such as 500.")
        return min(most, int(asked) / 1000)

    def priority(self) -> Priority:
        """X-Priority: who goes first when not all can."""
        asked = self.headers.get(b"x-priority")
        if asked is None:
            return PRIORITIES[0]
        said = asked.decode("latin-1").strip().lower()
        if said not in PRIORITIES:
            raise InvalidInput(f"X-Priority must be {' or '.join(PRIORITIES)}.")
        return said

    @abstractmethod
    async def body(self) -> bytes:
        """The whole body; raises Cancelled if the client leaves before its end."""

    @abstractmethod
    def chunks(self) -> AsyncGenerator[bytes, None]:
        """What is left of the body, as it comes; raises as `body`."""

    @abstractmethod
    def watched(self) -> AbstractContextManager[None]:
        """Interrupts its block once the client has left; to be used when the body is read."""

    # What the server says before its answer is complete

    @abstractmethod
    def tell(self, event: bytes) -> None:
        """Send a server-sent event; one of whose news a later event has all may be left out."""

    @abstractmethod
    def tell_last(self, event: bytes) -> None:
        """Send an event that is never left out."""


def event_of(name: bytes, data: bytes) -> bytes:
    """A server-sent event; the data has no line ends."""
    return b"event: %b\ndata: %b\n\n" % (name, data)

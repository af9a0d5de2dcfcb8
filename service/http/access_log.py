"""One line a request. Written a few times a second, since one write each costs more than a model's
answer to a small text.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, Self, TextIO

import orjson

from service.http.exchange import Exchange
from service.metrics import Outcome

log = logging.getLogger("slipway.access")

PROBES = frozenset({"/livez", "/readyz", "/metrics"})  # asked every few seconds: not worth a line
WRITE_EVERY_S = 0.1

# A line but for these is made once, and kept for those that differ in nothing else; by path among
# others, and anybody may ask for any path.
VARYING = frozenset(("request_id", "items", "duration_ms", "trace_id"))
MOST_FORMS = 1024


# All that many requests have in common: the first fields of `Access`.
Steady = tuple[str, str, bytes, int, Outcome, str, str]


class Access(NamedTuple):
    """A request that has come to its end, without its body. `began_s` is of the monotonic clock.

    What many requests have in common comes first: `steady`.
    """

    method: str
    endpoint: str
    raw_path: bytes
    status: int
    outcome: Outcome
    model: str
    version: str
    request_id: bytes
    items: int
    trace_id: str
    began_s: float
    seconds: float

    @property
    def steady(self) -> Steady:
        """All that many requests have in common."""
        return self[:7]

    @classmethod
    def of(cls, exchange: Exchange, seconds: float) -> Self:
        """It took so long."""
        return cls(
            exchange.method,
            exchange.endpoint,
            exchange.raw_path,
            exchange.status,
            exchange.outcome,
            exchange.model,
            exchange.version,
            exchange.request_id,
            exchange.items,
            exchange.trace.trace_id if exchange.trace is not None else "",
            exchange.began_s,
            seconds,
        )

    def fields(self) -> dict[str, Any]:
        """What its line tells."""
        fields = {
            "request_id": self.request_id.decode(),
            "method": self.method,
            # As it was sent, which is ASCII without controls: nothing in it can forge a line.
            "path": self.raw_path.decode("ascii", "backslashreplace"),
            "status": self.status,
            "outcome": self.outcome,
            "model": self.model,
            "version": self.version,
            "items": self.items,
            "duration_ms": int(self.seconds * 1e6 + 0.5) / 1000,
        }
        if self.trace_id:
            fields["trace_id"] = self.trace_id
        return fields

    def attributes(self) -> dict[str, str | int]:
        """What its span tells, by OpenTelemetry's names where there is one."""
        found: dict[str, str | int] = {
            "http.request.method": self.method,
            "http.route": self.endpoint,
            "http.response.status_code": self.status,
            "slipway.outcome": self.outcome,
            "slipway.request_id": self.request_id.decode(),
        }
        if self.model:
            found |= {
                "slipway.model": self.model,
                "slipway.version": self.version,
                "slipway.items": self.items,
            }
        return found


class AccessLog(Protocol):
    """Takes note of every request that came to its end."""

    def note(self, access: Access) -> None:
        """This request has come to its end."""
        ...


class NoAccessLog:
    """Writes nothing."""

    def note(self, access: Access) -> None:
        """Ignore it."""


class LoggedAccess:
    """Writes through `logging`, in whatever form that has: for a person who watches."""

    def note(self, access: Access) -> None:
        """Write it now."""
        if access.endpoint not in PROBES:
            log.info("request", extra=access.fields())


class JsonAccess:
    """Writes JSON lines like those of the log, several at a time; belongs to the event loop."""

    def __init__(self, stream: TextIO, always: Mapping[str, Any] | None = None) -> None:
        self._stream = stream
        self._always = always or {}  # fields of every line
        self._notes: list[Access] = []
        self._forms: dict[Steady, bytes] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0
        self._second_text = b""

    def note(self, access: Access) -> None:
        """Keep what its line will say for the next write."""
        if access.endpoint in PROBES:
            return
        self._notes.append(access)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WRITE_EVERY_S, self.flush)

    def flush(self) -> None:
        """Write what was noted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._notes:
            # in a row, with warm caches, a line takes a third of the time
            offset_s = time.time() - time.monotonic()  # from one clock to the other
            lines = [self._line(access, offset_s) for access in self._notes]
            self._notes.clear()
            self._stream.write(b"".join(lines).decode())
            self._stream.flush()

    def _line(self, access: Access, offset_s: float) -> bytes:
        unix_s = offset_s + access.began_s + access.seconds
        second = int(unix_s)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return self._form(access) % (
            self._second_text,
            int((unix_s - second) * 1000),
            access.request_id,
            access.items,
            access.seconds * 1000,
            b',"trace_id":"%b"' % access.trace_id.encode() if access.trace_id else b"",
        )

    def _form(self, access: Access) -> bytes:
        key = access.steady
        form = self._forms.get(key)
        if form is None:
            if len(self._forms) >= MOST_FORMS:
                self._forms.clear()
            form = self._forms[key] = self._form_of(access)
        return form

    def _form_of(self, access: Access) -> bytes:
        always = {"level": "info", "logger": log.name, "message": "request", **self._always}
        steady = {name: value for name, value in access.fields().items() if name not in VARYING}
        return (
            b'{"time":"%b.%03dZ",'
            + _members(always)
            + b',"request_id":"%b",'  # in which nothing needs to be escaped
            + _members(steady)
            + b',"items":%d,"duration_ms":%.3f%b}\n'
        )


def _members(fields: Mapping[str, Any]) -> bytes:
    """As they stand in a JSON object, in a format for `%`."""
    return orjson.dumps(fields)[1:-1].replace(b"%", b"%%")

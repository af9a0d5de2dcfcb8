"""One line a request. Written a few times a second, since one write each costs more than a model's
answer to a small text.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

import orjson

from service.http.exchange import Exchange

log = logging.getLogger("slipway.access")

PROBES = frozenset({"/livez", "/readyz", "/metrics"})  # asked every few seconds: not worth a line
WRITE_EVERY_S = 0.1


class AccessLog(Protocol):
    """Takes note of every request that came to its end."""

    def note(self, exchange: Exchange, seconds: float) -> None:
        """This request took so long."""
        ...


class NoAccessLog:
    """Writes nothing."""

    def note(self, exchange: Exchange, seconds: float) -> None:
        """Ignore it."""


class LoggedAccess:
    """Writes through `logging`, in whatever form that has: for a person who watches."""

    def note(self, exchange: Exchange, seconds: float) -> None:
        """Write it now."""
        if exchange.endpoint not in PROBES:
            log.info("request", extra=_fields(exchange, seconds))


class JsonAccess:
    """Writes JSON lines like those of the log, several at a time; belongs to the event loop."""

    def __init__(self, stream: TextIO, always: Mapping[str, Any] | None = None) -> None:
        self._stream = stream
        self._always = always or {}  # fields of every line
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0
        self._second_text = ""

    def note(self, exchange: Exchange, seconds: float) -> None:
        """Keep the line for the next write."""
        if exchange.endpoint in PROBES:
            return
        line = {
            "time": self._now(),
            "level": "info",
            "logger": log.name,
            "message": "request",
            **self._always,
            **_fields(exchange, seconds),
        }
        self._lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WRITE_EVERY_S, self.flush)

    def flush(self) -> None:
        """Write what was noted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            self._stream.write(b"".join(self._lines).decode())
            self._stream.flush()
            self._lines.clear()

    def _now(self) -> str:
        now_s = time.time()
        second = int(now_s)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{int((now_s - second) * 1000):03d}Z"


def _fields(exchange: Exchange, seconds: float) -> dict[str, Any]:
    fields = {
        "request_id": exchange.request_id.decode(),
        "method": exchange.method,
        # As it was sent, which is ASCII without controls: nothing in it can forge a line.
        "path": exchange.raw_path.decode("ascii", "backslashreplace"),
        "status": exchange.status,
        "outcome": exchange.outcome,
        "model": exchange.model,
        "version": exchange.version,
        "items": exchange.items,
        "duration_ms": int(seconds * 1e6 + 0.5) / 1000,
    }
    if exchange.trace is not None and exchange.trace.trace_id:
        fields["trace_id"] = exchange.trace.trace_id
    return fields

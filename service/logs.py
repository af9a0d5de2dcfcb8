"""One line a record on stderr: JSON for machines, columns for a terminal.

No text that a user sent can start a line of its own, move a cursor or colour a screen.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson

from service.tracing.current import served

LogFormat = Literal["auto", "json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]

# Loggers that obey the level of the settings; everything else is heard from "warning" on.
OURS = ("slipway", "service", "model_zoo", "uvicorn")

# What a LogRecord has by itself; the rest came with `extra=`. Uvicorn's colours are not wanted.
_KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}

# Controls (C0, DEL, C1), Unicode line ends, changes of direction, and halves of characters.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def configure_logging(level: LogLevel, log_format: LogFormat, stream: TextIO | None = None) -> None:
    """Send all records, uvicorn's and those of `warnings` too, to `stream` (stderr).

    "auto" writes text for a terminal and JSON for everything else. May be called again.
    """
    stream = stream or sys.stderr
    as_text = log_format == "text" or (log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.captureWarnings(True)


def number_log_records(worker: int) -> None:
    """From now on every record of this process tells which worker wrote it."""
    make_record = logging.getLogRecordFactory()

    def make_numbered(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = make_record(*arguments, **named)
        record.worker = worker
        return record

    logging.setLogRecordFactory(make_numbered)


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, then request_id and trace_id, the extras and the exception."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object without a raw line end or control character."""
        fields: dict[str, object] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        try:
            line = orjson.dumps(fields, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except orjson.JSONEncodeError:  # half of a character, or a number beyond 64 bits
            return json.dumps(fields, default=str, skipkeys=True)
        # JSON lets C1 controls pass, and a terminal may obey them; escaped they mean the same.
        return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


class TextFormatter(logging.Formatter):
    """Local time, level and message in columns, then name=value; the exception is below."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and for an exception more lines, which are indented."""
        extras = "".join(f"  {name}={value}" for name, value in _extras(record).items())
        when = datetime.fromtimestamp(record.created).astimezone()
        line = f"{when:%H:%M:%S}  {record.levelname:<8}  {record.getMessage()}{extras}"
        lines = [visible(line)]
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            lines += ["    " + visible(below) for below in trace.split("\n")]
        return "\n".join(lines)


def visible(text: str) -> str:
    r"""`text` with every unsafe character spelled out: a line end becomes \n."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _utc(seconds: float) -> str:
    when = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return when.isoformat("T", "milliseconds") + "Z"


def _extras(record: logging.LogRecord) -> dict[str, object]:
    extras = {name: value for name, value in vars(record).items() if name not in _KNOWN}
    request = served.get()
    if request is not None:
        extras.setdefault("request_id", request.request_id.decode())
        if request.trace is not None and request.trace.trace_id:
            extras.setdefault("trace_id", request.trace.trace_id)
    return extras

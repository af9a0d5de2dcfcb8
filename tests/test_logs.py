"""What a record looks like on stderr, whoever wrote it and whatever is in it."""

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from service.logs import LogFormat, LogLevel, configure_logging, visible
from service.tracing.current import served

NASTY = "a\r\nb\x1b[31mred\x1b[0m\x9b2Jc\u2028d\u202ee\x00f"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    loggers = [
        logging.getLogger(name)
        for name in (None, "slipway", "service", "model_zoo", "uvicorn", "uvicorn.error")
    ] + [logging.getLogger("uvicorn.access")]
    before = [(log.handlers, log.level, log.propagate) for log in loggers]
    yield
    logging.captureWarnings(False)
    for log, (handlers, level, propagate) in zip(loggers, before, strict=True):
        log.handlers, log.propagate = handlers, propagate
        log.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def configured(
    level: LogLevel = "info", log_format: LogFormat = "json", stream: io.StringIO | None = None
) -> io.StringIO:
    stream = stream if stream is not None else io.StringIO()
    configure_logging(level, log_format, stream)
    return stream


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_json_object_with_its_extras() -> None:
    stream = configured()
    logging.getLogger("slipway.app").info("ready in %d s", 2, extra={"models": 3})
    (record,) = records(stream)
    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "info",
        "logger": "slipway.app",
        "message": "ready in 2 s",
        "models": 3,
    }


@dataclass(frozen=True)
class Trace:
    trace_id: str
    traceparent: bytes = b""

    def ended(self, **attributes: str | int) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Request:
    request_id: bytes
    trace: Trace | None


@pytest.mark.parametrize(
    ("trace", "trace_id"), [(Trace("0af7"), "0af7"), (Trace(""), None), (None, None)]
)
def test_a_record_carries_the_ids_of_the_request_in_progress(
    trace: Trace | None, trace_id: str | None
) -> None:
    stream = configured()
    log = logging.getLogger("slipway")
    token = served.set(Request(b"abc-1", trace))
    log.info("bound")
    log.info("given", extra={"request_id": "abc-2"})
    served.reset(token)
    log.info("none")
    bound, given, none = records(stream)
    assert (bound["request_id"], bound.get("trace_id")) == ("abc-1", trace_id)
    assert given["request_id"] == "abc-2"
    assert not {"request_id", "trace_id"} & none.keys()


def test_an_exception_stays_within_its_json_line() -> None:
    stream = configured()
    try:
        raise ValueError(NASTY)
    except ValueError:
        logging.getLogger("slipway").exception("failed")
    (record,) = records(stream)
    assert "Traceback" in record["exception"]
    assert NASTY in record["exception"]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_what_users_send_cannot_forge_a_line_or_reach_the_terminal(log_format: LogFormat) -> None:
    stream = configured(log_format=log_format)
    logging.getLogger("slipway").info("path %s", NASTY, extra={"path": NASTY, NASTY: 1})
    written = stream.getvalue()
    assert written.count("\n") == 1
    assert written.endswith("\n")
    for character in "\r\x1b\x9b\u2028\u202e\x00":
        assert character not in written


def test_json_keeps_the_text_that_it_makes_harmless() -> None:
    stream = configured()
    logging.getLogger("slipway").info("%s", NASTY)
    assert records(stream)[0]["message"] == NASTY


def test_text_spells_out_what_it_makes_harmless() -> None:
    assert visible("a\nb\x1b[0m\u2028\ud800ü") == "a\\nb\\x1b[0m\\u2028\\ud800ü"


@pytest.mark.parametrize(
    "extra",
    [
        {"text": "\ud800 half"},
        {"number": 1 << 80},
        {"object": object()},
        {"key": {1: "x", (2, 3): "y"}},
    ],
)
def test_no_value_is_too_odd_to_be_logged(extra: dict[str, object]) -> None:
    stream = configured()
    logging.getLogger("slipway").info("odd", extra=extra)
    assert records(stream)[0]["message"] == "odd"


def test_a_forged_line_inside_an_exception_is_indented() -> None:
    stream = configured(log_format="text")
    try:
        raise ValueError("x\n2026-01-01T00:00:00  INFO      all is well")
    except ValueError:
        logging.getLogger("slipway").exception("failed")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("failed")
    assert rest
    assert all(line.startswith("    ") for line in rest)


def test_a_terminal_gets_text_and_a_pipe_gets_json() -> None:
    terminal = configured(log_format="auto", stream=Terminal())
    logging.getLogger("slipway").info("hello", extra={"port": 8000})
    assert terminal.getvalue().endswith("INFO      hello  port=8000\n")
    pipe = configured(log_format="auto")
    logging.getLogger("slipway").info("hello")
    assert records(pipe)[0]["message"] == "hello"
    assert terminal.getvalue().count("hello") == 1, "the earlier stream is let go"


def test_stderr_is_where_records_go_by_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logging("info", "json")
    logging.getLogger("slipway").info("hello")
    assert json.loads(capsys.readouterr().err)["message"] == "hello"
    assert sys.stderr is not None


def test_the_level_rules_our_records_and_others_are_heard_when_they_warn() -> None:
    stream = configured("warning")
    for name in ("slipway", "PIL.Image"):
        logging.getLogger(name).info("quiet")
        logging.getLogger(name).warning("loud")
    assert [record["message"] for record in records(stream)] == ["loud", "loud"]
    stream = configured("debug")
    logging.getLogger("slipway.http").debug("detail")
    logging.getLogger("PIL.Image").debug("chatter")
    assert [record["message"] for record in records(stream)] == ["detail"]


def test_uvicorn_writes_through_the_same_door() -> None:
    access = logging.getLogger("uvicorn.access")
    access.handlers = [logging.StreamHandler(sys.stdout)]
    access.propagate = False
    stream = configured()
    logging.getLogger("uvicorn.error").info("started", extra={"color_message": "\x1b[1mstarted"})
    access.info("GET /")
    assert [record["logger"] for record in records(stream)] == ["uvicorn.error", "uvicorn.access"]
    assert "color_message" not in records(stream)[0]


def test_a_python_warning_becomes_a_record() -> None:
    stream = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old ways", stacklevel=1)
        logging.captureWarnings(False)
    assert "old ways" in records(stream)[0]["message"]

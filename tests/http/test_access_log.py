"""One line a request, whatever a client puts into it."""

import asyncio
import io
import logging

import orjson
import pytest

from service.http.access_log import Access, JsonAccess, LoggedAccess
from service.http.asgi import AsgiExchange
from service.http.limits import Limits
from tests.http.asgi import Conversation

pytestmark = pytest.mark.anyio


def access(
    seconds: float, path: str = "/v1/sentiment", raw_path: bytes = b"/v1/sentiment"
) -> Access:
    talk = Conversation(path=path)
    made = AsgiExchange(talk.scope() | {"raw_path": raw_path}, talk.receive, talk.send, Limits())
    made.endpoint = path
    made.status, made.outcome, made.items = 200, "ok", 2
    return Access.of(made, seconds)


async def test_lines_are_written_together() -> None:
    stream = io.StringIO()
    log = JsonAccess(stream)
    log.note(access(0.0123456))
    log.note(access(1.0))
    assert stream.getvalue() == ""
    log.flush()
    first, second = map(orjson.loads, stream.getvalue().splitlines())
    assert first["duration_ms"] == 12.346
    assert (first["status"], first["outcome"], first["items"]) == (200, "ok", 2)
    assert (first["level"], first["logger"], first["message"]) == (
        "info",
        "slipway.access",
        "request",
    )
    assert first["time"].endswith("Z")
    assert len(first["time"]) == len("2026-01-01T00:00:00.000Z")
    assert second["request_id"] != first["request_id"]


async def test_lines_are_written_soon_without_being_asked() -> None:
    written = asyncio.Event()

    class Stream(io.StringIO):
        def flush(self) -> None:
            written.set()

    JsonAccess(Stream()).note(access(0.1))
    await written.wait()


async def test_nothing_is_written_for_probes() -> None:
    stream = io.StringIO()
    log = JsonAccess(stream)
    log.note(access(0.1, "/livez"))
    log.flush()
    assert stream.getvalue() == ""


async def test_an_odd_path_stays_in_its_line() -> None:
    stream = io.StringIO()
    log = JsonAccess(stream)
    log.note(access(0.1, "/a\n{}\x1b[31m\u202e", b"/a%0A%7B%7D%1B[31m\xff"))
    log.flush()
    (line,) = stream.getvalue().splitlines()
    assert line.isascii()
    assert "\x1b" not in line


async def test_a_person_gets_the_same_through_logging(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="slipway.access"):
        LoggedAccess().note(access(0.5))
        LoggedAccess().note(access(0.5, "/readyz"))
    (record,) = caplog.records
    assert record.__dict__["duration_ms"] == 500


async def test_a_line_tells_when_its_request_ended_not_when_it_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    log = JsonAccess(stream)
    ended = access(2.5)._replace(began_s=100.0)
    monkeypatch.setattr("time.monotonic", lambda: 110.0)
    monkeypatch.setattr("time.time", lambda: 1_800_000_010.25)
    log.note(ended)
    log.note(ended._replace(began_s=107.0))
    log.flush()
    monkeypatch.undo()
    first, second = map(orjson.loads, stream.getvalue().splitlines())
    assert first["time"] == "2027-01-15T08:00:02.750Z"
    assert second["time"] == "2027-01-15T08:00:09.750Z"

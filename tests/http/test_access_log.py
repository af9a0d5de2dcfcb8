"""One line a request, whatever a client puts into it."""

import asyncio
import io
import logging

import orjson
import pytest

from service.http.access_log import MOST_FORMS, Access, JsonAccess, LoggedAccess
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


def lines_of(*noted: Access, **always: object) -> list[dict[str, object]]:
    stream = io.StringIO()
    log = JsonAccess(stream, always)
    for one in noted:
        log.note(one)
    log.flush()
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


async def test_a_line_tells_all_that_is_known() -> None:
    ended = access(0.25)._replace(
        status=429, outcome="shed", model="cats", version="7", items=3, trace_id="ab" * 16
    )
    (line,) = lines_of(ended, worker=2, share="100 %d")
    told = ended.fields()
    assert {"trace_id", "duration_ms", "items"} < set(told)
    assert {name: line[name] for name in told} == told
    assert (line["worker"], line["share"]) == (2, "100 %d")


async def test_what_has_a_form_in_common_differs_all_the_same() -> None:
    one = access(0.25)
    others = (
        one._replace(status=500),
        one._replace(outcome="failed"),
        one._replace(model="cats"),
        one._replace(version="2"),
        one._replace(method="GET"),
        one._replace(raw_path=b"/v1/%d%%/sentiment"),
        one._replace(items=9),
        one._replace(trace_id="cd" * 16),
    )
    told = [one, *others, one]
    lines = lines_of(*told)
    for access_, line in zip(told, lines, strict=True):
        assert {name: line[name] for name in access_.fields()} == access_.fields()
    assert "trace_id" not in lines[0]


async def test_whoever_asks_for_many_paths_fills_no_memory() -> None:
    stream = io.StringIO()
    log = JsonAccess(stream)
    one = access(0.1)
    for number in range(MOST_FORMS + 2):
        log.note(one._replace(raw_path=b"/%d" % number))
        log.flush()
        assert len(log._forms) <= MOST_FORMS
    *_, last = stream.getvalue().splitlines()
    assert orjson.loads(last)["path"] == f"/{MOST_FORMS + 1}"


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

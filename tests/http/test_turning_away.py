"""What many who are refused have in common is made once, and each has an answer of its own."""

from http import HTTPStatus
from typing import NamedTuple

import orjson
import pytest
from prometheus_client import CollectorRegistry

from service.errors import InvalidInput, Overloaded, ServiceError
from service.http import turning_away
from service.http.access_log import Access
from service.http.errors import Refusal
from service.http.exchange import OWN_ID_BYTES, new_request_id
from service.http.turning_away import Refused, TurnedAway, TurningAway
from service.metrics import Metrics
from tests.http.traces import Trace, Tracer

ALWAYS = b"date: Mon, 23 Nov 2026 09:00:00 GMT\r\n"
FULL = Refused(Overloaded("Full.", 7.0), "cats", "2")


class Told(NamedTuple):
    """An answer, read as a client would."""

    status: int
    headers: dict[str, str]
    problem: dict[str, object]


def read(answer: bytes) -> Told:
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert int(headers["content-length"]) == len(body)
    return Told(int(status_line.split()[1]), headers, orjson.loads(body))


class Desk:
    """Turns away, and remembers what was noted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.seen: list[Access] = []
        self.turning_away = TurningAway(Metrics.create(self.registry), self, None)

    def note(self, access: Access) -> None:
        self.seen.append(access)

    def by(self, refused: Refused, path: str = "/wait", *, keep_alive: bool = True) -> TurnedAway:
        return self.turning_away.by(refused, path, path.encode(), keep_alive=keep_alive)

    def tell(self, refused: Refused, *, keep_alive: bool = True) -> Told:
        return read(self.by(refused, keep_alive=keep_alive).answer(ALWAYS, 0.0))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_every_id_of_ours_has_the_same_length() -> None:
    assert {len(new_request_id()) for _ in range(300)} == {OWN_ID_BYTES}


def test_the_answer_is_whole(desk: Desk) -> None:
    status, headers, problem = desk.tell(FULL)
    assert status == HTTPStatus.TOO_MANY_REQUESTS
    assert headers["retry-after"] == "7"
    assert headers["content-type"] == "application/problem+json"
    assert headers["date"] == "Mon, 23 Nov 2026 09:00:00 GMT"
    assert headers["x-content-type-options"] == "nosniff"
    assert "connection" not in headers
    assert problem["detail"] == "Full."
    assert problem["request_id"] == headers["x-request-id"] == desk.seen[0].request_id.decode()


def test_each_has_its_own_id(desk: Desk) -> None:
    told = desk.by(FULL)
    names = {read(told.answer(ALWAYS, 0.0)).headers["x-request-id"] for _ in range(3)}
    assert len(names) == 3


def test_the_last_words_of_a_connection_say_that_it_closes(desk: Desk) -> None:
    assert desk.tell(FULL, keep_alive=False).headers["connection"] == "close"


@pytest.mark.parametrize("words", ["100 %d of %b", 'He said "no".', "naïve ☃"])
def test_words_are_told_as_they_are(desk: Desk, words: str) -> None:
    assert desk.tell(Refused(InvalidInput(words))).problem["detail"] == words


def test_the_date_goes_on(desk: Desk) -> None:
    told = desk.by(FULL)
    told.answer(ALWAYS, 0.0)
    assert read(told.answer(b"date: later 100%\r\n", 0.0)).headers["date"] == "later 100%"


def test_the_same_words_are_put_together_once(desk: Desk) -> None:
    again = Refused(Overloaded("Full.", 7.0), "cats", "2", lambda body: True)
    assert desk.by(FULL) is desk.by(again)


@pytest.mark.parametrize(
    ("refused", "path", "keep_alive"),
    [
        (Refused(Overloaded("Fuller.", 7.0), "cats", "2"), "/wait", True),
        (Refused(Overloaded("Full.", 8.0), "cats", "2"), "/wait", True),
        (Refused(InvalidInput("Full."), "cats", "2"), "/wait", True),
        (Refused(Overloaded("Full.", 7.0), "dogs", "2"), "/wait", True),
        (Refused(Overloaded("Full.", 7.0), "cats", "3"), "/wait", True),
        (FULL, "/echo", True),
        (FULL, "/wait", False),
    ],
)
def test_whatever_differs_is_told_otherwise(
    desk: Desk, refused: Refused, path: str, keep_alive: bool
) -> None:
    assert desk.by(refused, path, keep_alive=keep_alive) is not desk.by(FULL)


def test_who_asked_by_another_method_is_noted_so(desk: Desk) -> None:
    for method in ("POST", "-"):
        desk.turning_away.by(FULL, "/wait", b"/wait", method=method).answer(ALWAYS, 0.0)
    assert [access.method for access in desk.seen] == ["POST", "-"]


def test_whose_refusal_was_slow_can_be_looked_up(desk: Desk) -> None:
    desk.turning_away.tracer = Tracer()
    desk.tell(FULL)
    found = [
        sample.exemplar.labels
        for family in desk.registry.collect()
        for sample in family.samples
        if sample.exemplar is not None
    ]
    assert found == [{"trace_id": Trace.trace_id}]


def test_a_refusal_of_http_has_its_status(desk: Desk) -> None:
    late = Refusal(HTTPStatus.REQUEST_TIMEOUT, "Too late.")
    huge = Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "Too late.")
    assert [desk.tell(Refused(error)).status for error in (late, huge)] == [408, 431]


def test_only_so_many_words_are_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turning_away, "MOST_KEPT", 2)
    first = desk.by(FULL)
    for number in range(2):
        desk.by(Refused(Overloaded(f"Full {number}.", 1.0)))
    assert desk.by(FULL) is not first


@pytest.mark.parametrize(
    ("error", "outcome"), [(Overloaded("Full."), "shed"), (InvalidInput("No."), "client_error")]
)
def test_each_is_counted_and_noted(desk: Desk, error: ServiceError, outcome: str) -> None:
    desk.turning_away.count(("/wait", "", "", "ok"), 0.0)  # another kind
    for _ in range(3):
        desk.tell(Refused(error))
    labels = {"endpoint": "/wait", "model": "", "version": "", "outcome": outcome}
    assert desk.registry.get_sample_value("slipway_requests_total", labels) == 3
    spent = {"endpoint": "/wait", "outcome": outcome}
    assert desk.registry.get_sample_value("slipway_request_duration_seconds_count", spent) == 3
    assert desk.registry.get_sample_value("slipway_inflight_requests") == 0
    assert [access.outcome for access in desk.seen] == [outcome] * 3
    assert all(access.seconds > 0.0 for access in desk.seen)

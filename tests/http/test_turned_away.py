"""Whom a door refuses is answered, counted, logged and traced alike, whether its head is known or
not: the short cut for known ones shows in nothing.
"""

from collections.abc import AsyncIterator

import pytest

from service.errors import InvalidInput, Overloaded, ServiceError
from service.http.access_log import Access
from service.http.edge import Watching
from service.http.limits import Limits
from tests.http.site import LIMIT, Client, Site, serving, until
from tests.http.traces import Trace, Tracer

pytestmark = pytest.mark.anyio


class Notes:
    """An access log that keeps what it is told."""

    def __init__(self) -> None:
        self.seen: list[Access] = []

    def note(self, access: Access) -> None:
        self.seen.append(access)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def tracer() -> Tracer:
    return Tracer()


@pytest.fixture
async def watched(notes: Notes, tracer: Tracer) -> AsyncIterator[Site]:
    async with serving(Limits(body_bytes=LIMIT), Watching(notes, tracer)) as site:
        yield site


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(Overloaded("Full.", 7.0), "shed"), (InvalidInput("Send less."), "client_error")],
)
async def test_a_known_head_changes_nothing(
    watched: Site, notes: Notes, tracer: Tracer, error: ServiceError, outcome: str
) -> None:
    watched.closed = error
    client = await Client.to(watched)
    answers = []
    for _ in range(3):
        client.send("/wait", b"ping", "x-priority: bulk")
        status, headers, body = await client.read()
        name = headers.pop("x-request-id")
        headers.pop("date")
        answers.append((status, headers, body.replace(name.encode(), b"")))
    client.writer.close()
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][1]["traceparent"] == Trace.traceparent.decode()

    alike = {access._replace(request_id=b"", began_s=0.0, seconds=0.0) for access in notes.seen}
    (access,) = alike
    assert (access.outcome, access.model, access.version) == (outcome, "cats", "2")
    assert len({access.request_id for access in notes.seen}) == 3
    assert all(0.0 <= access.seconds < 60.0 for access in notes.seen)

    assert [trace.began for trace in tracer.traces] == [("POST", None)] * 3
    told = [{**trace.attributes, "slipway.request_id": ""} for trace in tracer.traces]
    assert told[0] == told[1] == told[2]
    assert told[0]["slipway.outcome"] == outcome

    assert watched.count(outcome) == 3
    assert watched.in_flight == 0
    assert watched.waiting == []


async def test_a_connection_whose_known_head_was_refused_is_idle(
    site: Site, client: Client
) -> None:
    site.closed = Overloaded("Full.", 7.0)
    for _ in range(2):
        client.send("/wait", b"ping")
        await client.read()
    assert site.connection.idle_since_s is not None
    assert site.connection.server_state.total_requests == 2


async def test_a_door_hears_what_a_known_head_asks(site: Site, client: Client) -> None:
    site.closed = Overloaded("Full.", 7.0)
    for body in (b"one", b"two"):
        client.send("/wait?top_k=1", body, "x-priority: bulk", "x-request-timeout-ms: 250")
        await client.read()
    (first, one), (second, two) = site.asked
    assert first == second == (b"top_k=1", "bulk", 0.25)
    assert (one, two) == (b"one", b"two")


async def test_who_is_let_in_is_asked_once(site: Site, client: Client) -> None:
    for number in (1, 2):
        client.send("/wait", b"ping")
        await until(lambda: len(site.waiting) == number)  # noqa: B023  # awaited here
        site.waiting[-1].set_result(b"done")
        assert (await client.read())[2] == b"done"
        assert len(site.asked) == number

"""What the edge promises of every request, whatever the application does with it."""

import asyncio
import logging
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from service.errors import InferenceFailed, InvalidInput, NotReady, Overloaded
from service.http.answers import AnswerWriter
from service.http.edge import Edge, Endpoint
from service.http.exchange import Exchange
from service.http.limits import Limits
from service.metrics import Metrics
from tests.http.asgi import Conversation

pytestmark = pytest.mark.anyio

WITH_BODY = [(b"content-length", b"4")]
NO_ANSWERS = cast(AnswerWriter, None)


class Bench:
    """An edge around one endpoint, with its own registry."""

    def __init__(self, endpoint: Endpoint, limits: Limits | None = None) -> None:
        self.registry = CollectorRegistry()
        self.edge = Edge(
            _never,
            direct={("POST", "/"): endpoint},
            limits=limits or Limits(),
            metrics=Metrics.create(self.registry),
        )

    def count(self, outcome: str) -> float:
        labels = {"endpoint": "/", "model": "", "version": "", "outcome": outcome}
        return self.registry.get_sample_value("slipway_requests_total", labels) or 0.0

    @property
    def in_flight(self) -> float | None:
        return self.registry.get_sample_value("slipway_inflight_requests")


async def _never(scope: object, receive: object, send: object) -> None:
    raise AssertionError("the endpoint is direct")


async def echo(exchange: Exchange) -> bytes:
    return await exchange.body()


def failing(error: Exception) -> Endpoint:
    async def fail(exchange: Exchange) -> bytes:
        raise error

    return fail


async def test_an_answer_carries_the_clients_request_id() -> None:
    talk = Conversation(headers=[*WITH_BODY, (b"x-request-id", b"abc-1")]).body(b"ping")
    answer = await talk.with_(Bench(echo).edge)
    assert (answer.status, answer.body) == (200, b"ping")
    assert answer.headers[b"x-request-id"] == b"abc-1"
    assert answer.headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize("given", [b"a b", b"x\x1b[31m", b"-" * 10, b"a" * 129, b""])
async def test_an_odd_request_id_is_replaced(given: bytes) -> None:
    talk = Conversation(headers=[(b"x-request-id", given)]).body(b"")
    answer = await talk.with_(Bench(echo).edge)
    assert answer.headers[b"x-request-id"] not in (given, b"")


async def test_two_requests_without_an_id_get_different_ones() -> None:
    bench = Bench(echo)
    first = await Conversation().body(b"").with_(bench.edge)
    second = await Conversation().body(b"").with_(bench.edge)
    assert first.headers[b"x-request-id"] != second.headers[b"x-request-id"]


async def test_a_body_that_is_declared_too_large_is_not_read() -> None:
    talk = Conversation(headers=[(b"content-length", b"11")])
    answer = await talk.with_(Bench(echo, Limits(body_bytes=10)).edge)
    assert answer.status == 413
    assert "10 bytes" in answer.json["detail"]
    assert answer.headers[b"connection"] == b"close"


async def test_a_body_that_grows_too_large_is_cut_off() -> None:
    talk = Conversation(headers=[(b"transfer-encoding", b"chunked")])
    talk.body(b"12345", b"67890", b"1", complete=False)
    bench = Bench(echo, Limits(body_bytes=10))
    assert (await talk.with_(bench.edge)).status == 413
    assert bench.count("client_error") == 1


async def test_a_path_may_have_a_larger_body_than_others() -> None:
    limits = Limits(body_bytes=1, body_bytes_of={"/": 10})
    answer = await Conversation(headers=WITH_BODY).body(b"ping").with_(Bench(echo, limits).edge)
    assert answer.status == 200


async def test_a_compressed_body_is_refused() -> None:
    talk = Conversation(headers=[(b"content-encoding", b"gzip")]).body(b"")
    answer = await talk.with_(Bench(echo).edge)
    assert answer.status == 415
    assert "Content-Encoding" in answer.json["detail"]


async def test_identity_is_no_compression() -> None:
    talk = Conversation(headers=[(b"content-encoding", b"identity")]).body(b"")
    assert (await talk.with_(Bench(echo).edge)).status == 200


@pytest.mark.parametrize(
    "headers",
    [[(b"x-%d" % n, b"v") for n in range(101)], [(b"x", b"v" * 20_000)]],
    ids=["too many", "too long"],
)
async def test_a_huge_head_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    answer = await Conversation(headers=headers).body(b"").with_(Bench(echo).edge)
    assert answer.status == 431


async def test_a_huge_url_is_refused() -> None:
    answer = await Conversation(query=b"a" * 3000).body(b"").with_(Bench(echo).edge)
    assert answer.status == 414


async def test_a_body_that_does_not_arrive_in_time_is_given_up() -> None:
    talk = Conversation(headers=WITH_BODY).body(b"pi", complete=False)
    bench = Bench(echo, Limits(body_s=0.01))
    answer = await talk.with_(bench.edge)
    assert answer.status == 408
    assert bench.count("client_error") == 1


async def test_the_clock_stops_once_the_body_is_here() -> None:
    async def slow(exchange: Exchange) -> bytes:
        await exchange.body()
        await asyncio.sleep(0.05)
        return b"done"

    talk = Conversation(headers=WITH_BODY).body(b"ping")
    assert (await talk.with_(Bench(slow, Limits(body_s=0.01)).edge)).body == b"done"


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (InvalidInput("Send less."), 422, "client_error"),
        (Overloaded("Full.", 1.2), 429, "shed"),
        (NotReady("Loading."), 503, "not_ready"),
        (InferenceFailed("Broke."), 500, "failed"),
    ],
)
async def test_an_error_becomes_a_problem(error: Exception, status: int, outcome: str) -> None:
    bench = Bench(failing(error))
    answer = await Conversation().body(b"").with_(bench.edge)
    assert answer.status == status
    assert answer.headers[b"content-type"] == b"application/problem+json"
    assert set(answer.json) == {"type", "title", "status", "detail", "request_id"}
    assert answer.json["status"] == status
    assert answer.json["detail"] == str(error)
    assert answer.json["request_id"].encode() == answer.headers[b"x-request-id"]
    assert bench.count(outcome) == 1


async def test_overload_tells_when_to_come_back_in_whole_seconds() -> None:
    answer = await Conversation().body(b"").with_(Bench(failing(Overloaded("Full.", 1.2))).edge)
    assert answer.headers[b"retry-after"] == b"2"


async def test_an_unexpected_error_is_logged_and_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(failing(KeyError("/secret/path")))
    with caplog.at_level(logging.ERROR, logger="slipway.http"):
        answer = await Conversation().body(b"").with_(bench.edge)
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert "secret" in caplog.text
    assert bench.count("failed") == 1


async def test_a_client_that_leaves_before_its_turn_cancels_the_work() -> None:
    working = asyncio.Event()
    cancelled = asyncio.Event()

    async def work(exchange: Exchange) -> bytes:
        await exchange.body()
        with exchange.watched():
            working.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise
        raise AssertionError("unreachable")

    bench = Bench(work)
    talk = Conversation(headers=WITH_BODY).body(b"ping")
    request = asyncio.ensure_future(bench.edge(talk.scope(), talk.receive, talk.send))
    await working.wait()
    talk.leave()
    await request
    assert cancelled.is_set()
    assert talk.sent == []
    assert bench.count("cancelled") == 1
    assert bench.in_flight == 0


async def test_a_client_that_leaves_while_it_sends_counts_as_cancelled() -> None:
    talk = Conversation(headers=WITH_BODY).body(b"pi", complete=False)
    talk.leave()
    bench = Bench(echo)
    await bench.edge(talk.scope(), talk.receive, talk.send)
    assert talk.sent == []
    assert bench.count("cancelled") == 1


async def test_a_request_that_the_server_cuts_short_is_told_so() -> None:
    working = asyncio.Event()

    async def work(exchange: Exchange) -> bytes:
        working.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    bench = Bench(work)
    talk = Conversation().body(b"")
    request = asyncio.ensure_future(talk.with_(bench.edge))
    await working.wait()
    request.cancel()
    answer = await request
    assert answer.status == 503
    assert bench.count("not_ready") == 1


async def test_a_request_that_is_answered_leaves_nothing_behind() -> None:
    async def quick(exchange: Exchange) -> bytes:
        await exchange.body()
        with exchange.watched():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return b"done"

    before = asyncio.all_tasks()
    answer = await Conversation(headers=WITH_BODY).body(b"ping").with_(Bench(quick).edge)
    await asyncio.sleep(0)
    assert answer.body == b"done"
    assert asyncio.all_tasks() == before


async def test_every_request_ends_in_exactly_one_outcome() -> None:
    errors = [InvalidInput("a"), Overloaded("b"), NotReady("c"), InferenceFailed("d"), KeyError()]
    outcomes = ("ok", "client_error", "shed", "expired", "cancelled", "failed", "not_ready")
    pending: list[Exception | None] = [*errors, None, None]

    async def next_one(exchange: Exchange) -> bytes:
        error = pending.pop()
        if error is not None:
            raise error
        return b""

    bench = Bench(next_one)
    for _ in range(7):
        await Conversation().body(b"").with_(bench.edge)
    assert sum(bench.count(outcome) for outcome in outcomes) == 7
    assert bench.count("ok") == 2
    assert bench.in_flight == 0

"""The short way of a request, on a real socket: what the edge promises holds there too."""

import asyncio
import re

import orjson
import pytest

from service.errors import Overloaded
from service.http.exchange import Exchange
from service.http.limits import Limits
from tests.http.site import LIMIT, Client, Site, serving, until

pytestmark = pytest.mark.anyio


async def test_an_answer_is_complete_and_signed(site: Site, client: Client) -> None:
    client.send("/echo?top_k=1", b"ping", "X-Request-Id: abc-1")
    status, headers, body = await client.read()
    assert (status, body) == (200, b"ping")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers.pop("date"))
    assert headers == {
        "content-type": "application/json",
        "content-length": "4",
        "x-request-id": "abc-1",
        "x-content-type-options": "nosniff",
    }
    assert site.long_way == 0
    assert site.count("ok") == 1
    assert site.in_flight == 0


async def test_a_closed_door_refuses_before_the_endpoint_is_asked(
    site: Site, client: Client
) -> None:
    site.closed = Overloaded("Full.", 7.0)
    for _ in range(2):  # and the connection stays
        client.send("/wait", b"whatever")
        status, headers, body = await client.read()
        assert (status, headers["retry-after"]) == (429, "7")
        assert orjson.loads(body)["detail"] == "Full."
    assert site.waiting == []
    assert site.count("shed") == 2
    assert site.in_flight == 0


async def test_an_open_door_lets_the_request_through(site: Site, client: Client) -> None:
    client.send("/wait", b"whatever")
    await until(lambda: bool(site.waiting))
    site.waiting[0].set_result(b"done")
    assert (await client.read())[2] == b"done"


async def test_what_is_wrong_with_a_head_is_told_at_the_door(site: Site, client: Client) -> None:
    site.closed = Overloaded("Full.", 7.0)
    client.send("/wait", b"", "X-Priority: mine")
    assert (await client.read())[0] == 422
    assert site.waiting == []


@pytest.mark.parametrize(
    ("pieces", "seen"),
    [((b"all of it",), b"all of it"), ((b"it comes ", b"in two"), None), ((), None)],
)
async def test_a_door_sees_a_body_in_one_piece(
    site: Site, client: Client, pieces: tuple[bytes, ...], seen: bytes | None
) -> None:
    site.closed = Overloaded("Full.", 7.0)
    body = b"".join(pieces)
    client.send("/wait", b"".join(pieces[:1]), f"content-length: {len(body)}")
    for piece in pieces[1:]:
        await until(lambda: site.in_flight == 1)
        client.writer.write(piece)
    assert (await client.read())[0] == 429
    assert [body for _, body in site.asked] == [seen]


async def test_a_connection_is_used_again_by_both_ways(site: Site, client: Client) -> None:
    for path, answer in (("/echo", b"a"), ("/other", b"long"), ("/echo", b"a")):
        client.send(path, b"a")
        assert (await client.read())[2] == answer
    assert site.long_way == 1


async def test_another_method_and_another_spelling_go_the_long_way(
    site: Site, client: Client
) -> None:
    client.send("/echo", method="GET")
    assert (await client.read())[2] == b"long"
    client.send("/%65cho", b"spelled")
    assert (await client.read())[2] == b"spelled"


async def test_a_body_may_come_in_pieces(site: Site, client: Client) -> None:
    client.send("/echo", b"12", "content-length: 4")
    await until(lambda: site.in_flight == 1)
    client.writer.write(b"34")
    assert (await client.read())[2] == b"1234"


async def test_a_body_may_come_in_chunks(site: Site, client: Client) -> None:
    client.send("/echo", b"2\r\n12\r\n", "transfer-encoding: chunked")
    client.writer.write(b"3\r\n345\r\n0\r\n\r\n")
    assert (await client.read())[2] == b"12345"


async def test_a_client_that_asks_may_go_on(site: Site, client: Client) -> None:
    client.send("/echo", b"", "content-length: 4", "expect: 100-continue")
    assert (await client.read())[0] == 100
    client.writer.write(b"ping")
    assert (await client.read())[2] == b"ping"


async def test_a_client_that_asks_with_too_much_is_told_before_it_sends(
    site: Site, client: Client
) -> None:
    client.send("/echo", b"", f"content-length: {LIMIT + 1}", "expect: 100-continue")
    status, headers, _ = await client.read()
    assert (status, headers["connection"]) == (413, "close")
    assert await client.is_closed()


async def test_a_body_that_grows_too_large_is_cut_off(site: Site, client: Client) -> None:
    client.send("/echo", b"400\r\n" + b"v" * 1024 + b"\r\n", "transfer-encoding: chunked")
    status, headers, _ = await client.read()
    assert (status, headers["connection"]) == (413, "close")
    assert await client.is_closed()
    assert site.count("client_error") == 1


async def test_a_body_that_is_late_is_given_up(site: Site, client: Client) -> None:
    client.send("/echo", b"12", "content-length: 4")
    await until(lambda: site.in_flight == 1)
    exchange = site.connection.turn
    assert isinstance(exchange, Exchange)
    site.connection.end_if_late(exchange.began_s + 29)
    assert site.in_flight == 1
    site.connection.end_if_late(exchange.began_s + 31)
    status, headers, _ = await client.read()
    assert (status, headers["connection"]) == (408, "close")
    assert site.count("client_error") == 1


async def test_an_answer_that_takes_long_is_no_late_body(site: Site, client: Client) -> None:
    client.send("/wait", b"ping")
    await until(lambda: bool(site.waiting))
    site.connection.end_if_late(1e12)
    site.waiting[0].set_result(b"done")
    assert (await client.read())[2] == b"done"


@pytest.mark.parametrize(
    ("body", "status", "outcome"), [(b"", 422, "client_error"), (b"full", 429, "shed")]
)
async def test_an_error_becomes_a_problem(
    site: Site, client: Client, body: bytes, status: int, outcome: str
) -> None:
    client.send("/fail", body, "x-request-id: abc-1")
    found, headers, answer = await client.read()
    assert found == status
    assert headers["content-type"] == "application/problem+json"
    assert headers.get("retry-after") == ("2" if status == 429 else None)
    assert "connection" not in headers
    problem = orjson.loads(answer)
    assert (problem["status"], problem["request_id"]) == (status, "abc-1")
    assert site.count(outcome) == 1
    client.send("/echo", b"again")
    assert (await client.read())[2] == b"again"


async def test_an_endpoint_may_work_off_the_loop(client: Client) -> None:
    client.send("/off", b"quiet")
    assert (await client.read())[2] == b"QUIET"


async def test_answers_come_in_the_order_of_the_requests(site: Site, client: Client) -> None:
    client.send("/wait")
    client.send("/echo", b"second")
    client.send("/other", b"third")
    client.send("/wait")
    client.send("/echo", b"fifth")
    await until(lambda: len(site.waiting) == 1)
    site.waiting[0].set_result(b"first")
    await until(lambda: len(site.waiting) == 2)
    site.waiting[1].set_result(b"fourth")
    answers = [(await client.read())[2] for _ in range(5)]
    assert answers == [b"first", b"second", b"long", b"fourth", b"fifth"]
    assert site.count("ok") == 5


async def test_thousands_of_requests_in_one_write_are_answered(site: Site, client: Client) -> None:
    client.send("/wait")
    for _ in range(3000):
        client.send("/fail")
    await until(lambda: len(site.waiting) == 1)
    site.waiting[0].set_result(b"")
    statuses = [(await client.read())[0] for _ in range(3001)]
    assert statuses == [200] + [422] * 3000


async def test_a_request_that_waits_its_turn_gets_the_rest_of_its_body(
    site: Site, client: Client
) -> None:
    client.send("/wait")
    client.send("/echo", b"12", "content-length: 4")
    await until(lambda: len(site.waiting) == 1)
    site.waiting[0].set_result(b"first")
    assert (await client.read())[2] == b"first"
    client.writer.write(b"34")
    assert (await client.read())[2] == b"1234"


async def test_a_client_that_leaves_ends_the_work_at_once(site: Site, client: Client) -> None:
    client.send("/wait")
    await until(lambda: len(site.waiting) == 1)
    client.writer.close()
    await until(lambda: site.waiting[0].cancelled())
    await until(lambda: site.in_flight == 0)
    assert site.count("cancelled") == 1


async def test_a_client_that_leaves_in_the_turn_of_an_answer_ends_what_comes_after(
    site: Site, client: Client
) -> None:
    client.send("/twice")
    await until(lambda: len(site.waiting) == 1)
    site.waiting[0].set_result(b"first")  # the endpoint hears of it in the next turn of the loop
    site.turn.lose_client()
    await until(lambda: len(site.waiting) == 2)
    assert site.waiting[1].cancelled()
    await until(lambda: site.in_flight == 0)
    assert site.count("cancelled") == 1


async def test_a_client_that_leaves_in_the_turn_of_the_last_answer_changes_nothing(
    site: Site, client: Client
) -> None:
    client.send("/wait")
    await until(lambda: len(site.waiting) == 1)
    site.waiting[0].set_result(b"done")
    site.turn.lose_client()
    assert (await client.read())[2] == b"done"
    assert (site.count("ok"), site.count("cancelled")) == (1, 0)


@pytest.mark.parametrize("at_once", [False, True])
async def test_what_an_endpoint_does_because_it_was_interrupted_is_not_interrupted_again(
    site: Site, client: Client, at_once: bool
) -> None:
    client.send("/clean")
    await until(lambda: len(site.waiting) == 1)
    if at_once:
        site.waiting[0].set_result(b"first")
    site.turn.lose_client()
    last = 2 + at_once
    await until(lambda: len(site.waiting) == last)
    await asyncio.sleep(0)
    assert not site.waiting[-1].done()
    site.waiting[-1].set_result(b"")
    await until(lambda: site.in_flight == 0)
    assert site.count("cancelled") == 1


async def test_a_client_that_leaves_while_it_sends_counts_as_cancelled(
    site: Site, client: Client
) -> None:
    client.send("/echo", b"12", "content-length: 4")
    await until(lambda: site.in_flight == 1)
    client.writer.close()
    await until(lambda: site.in_flight == 0)
    assert site.count("cancelled") == 1


async def test_an_old_client_gets_its_answer_and_the_connection_closed(
    site: Site, client: Client
) -> None:
    client.writer.write(b"POST /echo HTTP/1.0\r\ncontent-length: 3\r\n\r\nold")
    _, headers, body = await client.read()
    assert (body, headers["connection"]) == (b"old", "close")
    assert await client.is_closed()


async def test_a_client_that_does_not_read_gets_no_more_answers() -> None:
    large = b"v" * (1 << 20)
    async with serving(Limits(body_bytes=1 << 21)) as site:
        client = await Client.to(site)
        count = 40
        sending = asyncio.create_task(_send_all(client, large, count))
        await until(lambda: site.server.server_state.total_requests > 0)
        await until(lambda: site.connection.flow.write_paused)
        await asyncio.sleep(0.05)
        assert site.server.server_state.total_requests < count
        for _ in range(count):
            assert len((await client.read())[2]) == len(large)
        await sending
        client.writer.close()


async def _send_all(client: Client, body: bytes, count: int) -> None:
    for _ in range(count):
        client.send("/echo", body)
        await client.writer.drain()


async def test_a_leaving_server_answers_first(site: Site, client: Client) -> None:
    client.send("/wait")
    await until(lambda: len(site.waiting) == 1)
    site.server.stop()
    await until(lambda: not site.connection.turn.keep_alive)  # type: ignore[union-attr]
    site.waiting[0].set_result(b"done")
    _, headers, body = await client.read()
    assert (body, headers["connection"]) == (b"done", "close")


async def test_a_request_that_the_server_cuts_short_is_told_so(site: Site, client: Client) -> None:
    client.send("/wait")
    await until(lambda: len(site.waiting) == 1)
    site.server.stop()  # waits for a second
    status, headers, _ = await client.read()
    assert (status, headers["retry-after"]) == (503, "2")
    assert site.count("not_ready") == 1


async def test_a_request_cut_short_in_the_turn_of_an_answer_is_told_so(
    site: Site, client: Client
) -> None:
    client.send("/twice")
    await until(lambda: len(site.waiting) == 1)
    site.waiting[0].set_result(b"first")
    site.connection.cut_short()
    await until(lambda: len(site.waiting) == 2)
    assert site.waiting[1].cancelled()
    assert (await client.read())[0] == 503
    assert site.count("not_ready") == 1

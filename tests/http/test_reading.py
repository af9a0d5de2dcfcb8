"""What a connection makes of odd bytes: one request is one answer, and none costs memory."""

import asyncio
import time

import orjson
import pytest

from service.http.limits import Limits
from service.http.parsing import WIRE_BYTES, WIRE_FACTOR
from tests.http.site import LIMIT, Client, Site, serving, until

pytestmark = pytest.mark.anyio


async def test_trailers_are_read_over(site: Site, client: Client) -> None:
    for _ in range(2):
        client.send("/echo", b"4\r\nping\r\n0\r\nx-late: 1\r\n\r\n", "transfer-encoding: chunked")
        assert (await client.read())[2] == b"ping"
    client.send("/wait", b"1\r\na\r\n0\r\nx-late: 1\r\n\r\n", "transfer-encoding: chunked")
    await until(lambda: bool(site.waiting))
    assert not any(name == b"x-late" for name, _ in site.turn.fields)
    site.waiting[0].set_result(b"")


@pytest.mark.parametrize("path", ["/echo", "/other"])
@pytest.mark.parametrize("line", [b"x-late: 1\r\n", b"x-late: " + 2000 * b"1"])
async def test_trailers_without_end_end_the_connection(
    site: Site, client: Client, path: str, line: bytes
) -> None:
    client.send(path, b"1\r\na\r\n0\r\n", "transfer-encoding: chunked")
    await until(lambda: site.in_flight == 1)
    many = line * ((WIRE_FACTOR * LIMIT + WIRE_BYTES) // len(line) + 1)
    for start in range(0, len(many), 65536):
        client.writer.write(many[start : start + 65536])
    assert (await client.read())[0] == 413
    assert await client.is_closed()
    await until(lambda: site.in_flight == 0)


async def test_a_body_in_tiny_pieces_is_kept_in_few(client: Client) -> None:
    body = bytes(range(256)) * 16
    async with serving(Limits(body_bytes=len(body))) as site:
        client = await Client.to(site)
        pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
        client.send("/echo", pieces, "transfer-encoding: chunked")
        await until(lambda: site.in_flight == 1 and site.turn._size == len(body))
        assert [len(chunk) for chunk in site.turn._chunks] == [1024] * 4
        client.writer.write(b"0\r\n\r\n")
        assert (await client.read())[2] == body
        client.writer.close()


async def test_what_is_no_request_is_told_and_counted(site: Site, client: Client) -> None:
    client.send("/echo", b"", "content-length: -1")
    status, headers, body = await client.read()
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert orjson.loads(body)["request_id"] == headers["x-request-id"]
    assert site.count("client_error") == 1
    assert await client.is_closed()


async def test_a_broken_body_ends_its_own_request(site: Site, client: Client) -> None:
    client.send("/echo", b"nonsense\r\n", "transfer-encoding: chunked")
    assert (await client.read())[0] == 400
    assert site.count("client_error") == 1
    assert site.in_flight == 0


async def test_nonsense_behind_a_request_waits_for_its_answer(site: Site, client: Client) -> None:
    client.send("/wait", b"a")
    await until(lambda: bool(site.waiting))
    client.writer.write(b"nonsense\r\n\r\n")
    await until(lambda: site.connection.last_words is not None)
    site.waiting[0].set_result(b"done")
    assert (await client.read())[2] == b"done"
    assert (await client.read())[0] == 400
    assert await client.is_closed()


async def test_a_head_that_we_did_not_read_is_not_late(site: Site, client: Client) -> None:
    client.send("/wait", b"a")
    await until(lambda: bool(site.waiting))
    client.writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\n")
    await until(lambda: site.connection.inside)
    began_s = site.connection.head_began_s
    assert began_s is not None
    site.connection.end_if_late(began_s + 999)
    site.waiting[0].set_result(b"done")
    assert (await client.read())[2] == b"done"
    site.connection.end_if_late(began_s + 1000)
    client.writer.write(b"content-length: 4\r\n\r\nping")
    assert (await client.read())[2] == b"ping"


async def test_a_body_has_its_time_from_when_it_is_read(site: Site, client: Client) -> None:
    client.send("/wait", b"a")
    await until(lambda: bool(site.waiting))
    client.send("/echo", b"pi", "content-length: 4")
    await until(lambda: bool(site.connection.pipeline))
    waiting, _ = site.connection.pipeline[0]
    waiting.began_s -= 1000  # type: ignore[attr-defined]
    waiting._turn_s -= 1000  # type: ignore[attr-defined]
    site.waiting[0].set_result(b"done")
    assert (await client.read())[2] == b"done"
    await until(lambda: site.connection.turn is waiting)
    site.connection.end_if_late(time.monotonic())
    client.writer.write(b"ng")
    assert (await client.read())[2] == b"ping"


async def test_a_body_that_waits_is_kept_up_to_its_limit(site: Site, client: Client) -> None:
    client.send("/wait", b"a")
    await until(lambda: bool(site.waiting))
    client.send("/echo", (LIMIT + 1) * b"b")
    await until(lambda: bool(site.connection.pipeline))
    waiting, _ = site.connection.pipeline[0]
    await until(lambda: waiting.interruption is not None)  # type: ignore[attr-defined]
    assert not waiting._chunks  # type: ignore[attr-defined]
    site.waiting[0].set_result(b"done")
    assert [(await client.read())[0] for _ in range(2)] == [200, 413]


@pytest.mark.parametrize("target", ["/echo", "http://x/echo", "/%65cho"])
async def test_a_path_has_one_limit_however_it_is_written(target: str) -> None:
    body = bytes(2 * WIRE_BYTES)
    limits = Limits(body_bytes=LIMIT, body_bytes_of={"/echo": len(body)})
    async with serving(limits) as site:
        client = await Client.to(site)
        client.send(target, body)
        assert (await client.read())[0] == 200
        client.writer.close()


@pytest.mark.parametrize("path", ["/echo", "/other"])
async def test_a_broken_body_waits_for_the_answers_before_it(
    site: Site, client: Client, path: str
) -> None:
    client.send("/wait", b"a")
    await until(lambda: bool(site.waiting))
    client.send(path, b"nonsense\r\n", "transfer-encoding: chunked")
    await until(lambda: site.connection.inside and not site.connection.in_head)
    await asyncio.sleep(0.01)  # until it was read
    site.connection.data_received(b"and more nonsense\r\n")
    site.waiting[0].set_result(b"done")
    assert (await client.read())[::2] == (200, b"done")
    assert (await client.read())[0] == 400
    assert await client.is_closed()
    assert (site.count("ok"), site.count("client_error"), site.in_flight) == (1, 1, 0)


async def test_a_request_that_is_broken_off_is_counted_as_what_it_was_told(
    site: Site, client: Client
) -> None:
    fields = ("transfer-encoding: chunked", "x-request-id: mine")
    client.send("/other", b"nonsense\r\n", *fields)
    status, headers, _ = await client.read()
    assert (status, headers["x-request-id"], headers["connection"]) == (400, "mine", "close")
    assert (site.count("client_error"), site.count("cancelled"), site.in_flight) == (1, 0, 0)


async def test_who_connects_while_the_server_leaves_is_not_waited_for(site: Site) -> None:
    site.server._protocol.server_leaves = True  # as `shutdown` sets it; its listeners close later
    quiet, asking = await Client.to(site), await Client.to(site)
    asking.send("/echo", b"ping")
    status, headers, body = await asking.read()
    assert (status, body, headers["connection"]) == (200, b"ping", "close")
    assert await quiet.is_closed()
    for client in (quiet, asking):
        client.writer.close()


async def test_a_server_that_stops_tells_who_comes_late() -> None:
    async with serving(Limits()) as site:
        assert not site.server._protocol.server_leaves
    assert site.server._protocol.server_leaves


async def test_who_sent_nothing_made_no_request(site: Site, client: Client) -> None:
    await until(lambda: bool(site.server.server_state.connections))
    site.connection.end_if_late(time.monotonic() + 999)
    assert (await client.read())[0] == 408
    assert site.count("client_error") == 0


async def test_a_body_cannot_teach_what_another_head_means(site: Site) -> None:
    poison = b"GET /other HTTP/1.1\r\nx-note: "
    request = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"
    client = await Client.to(site)
    for _ in range(2):
        client.send("/unread", b"", f"content-length: {len(poison)}", method="GET")
        assert (await client.read())[2] == b"long"  # told before its body came
        client.writer.write(poison + request + b"ping")
        assert (await client.read())[2] == b"ping"
    assert not any(head.startswith(b"GET") for head in site.connection.heads._known)
    client.writer.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_head_is_asked_for_as_the_page_is(site: Site, client: Client, method: str) -> None:
    client.send("/other", method=method)
    client.writer.write_eof()
    answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"long" if method == "GET" else b"\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "status"), [("0000000500", 200), ("500 ", 200), ("9" * 40, 200), ("-1", 422)]
)
async def test_a_timeout_may_be_long_or_padded(
    site: Site, client: Client, sent: str, status: int
) -> None:
    site.closed = None
    client.send("/wait", b"a", f"x-request-timeout-ms: {sent}")
    if status == 200:
        await until(lambda: bool(site.waiting))
        site.waiting[0].set_result(b"done")
    assert (await client.read())[0] == status

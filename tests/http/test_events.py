"""Answers that grow: server-sent events on the short way."""

import orjson
import pytest

from service.errors import DeadlineExceeded, Overloaded
from tests.http.site import Client, Site, until

pytestmark = pytest.mark.anyio


async def grow(site: Site, *news: bytes | Exception) -> None:
    """Let /grow tell these, one after the other."""
    for one in news:
        await until(lambda: bool(site.waiting))
        answer = site.waiting.pop()
        if isinstance(one, Exception):
            answer.set_exception(one)
        else:
            answer.set_result(one)


async def test_an_answer_may_grow_in_events(site: Site, client: Client) -> None:
    client.send("/grow", b"", "x-request-id: abc-1")
    await grow(site, b"1")
    _, headers, _ = await client.read()
    assert headers["content-type"] == "text/event-stream"
    assert headers["transfer-encoding"] == "chunked"
    assert headers["x-request-id"] == "abc-1"
    assert await client.read_chunk() == b"event: progress\ndata: 1\n\n"
    assert site.in_flight == 1
    await grow(site, b"22", b"")
    assert await client.read_chunk() == b"event: progress\ndata: 22\n\n"
    assert await client.read_chunk() == b"event: result\ndata: {}\n\n"
    assert await client.read_chunk() == b""
    assert site.count("ok") == 1
    client.send("/echo", b"again")
    assert (await client.read())[2] == b"again"


async def test_an_error_before_the_first_event_is_a_plain_problem(
    site: Site, client: Client
) -> None:
    client.send("/grow")
    await grow(site, Overloaded("Full.", 1.2))
    assert (await client.read())[0] == 429


async def test_an_error_after_it_is_the_last_event(site: Site, client: Client) -> None:
    client.send("/grow")
    await grow(site, b"1", DeadlineExceeded("Late."))
    await client.read()
    await client.read_chunk()
    name, data = (await client.read_chunk()).split(b"\n")[:2]
    assert name == b"event: error"
    assert orjson.loads(data.removeprefix(b"data: "))["status"] == 504
    assert await client.read_chunk() == b""
    assert site.count("expired") == 1


async def test_a_reader_that_leaves_ends_the_work_at_once(site: Site, client: Client) -> None:
    client.send("/grow")
    await grow(site, b"1")
    await client.read()
    await until(lambda: bool(site.waiting))
    client.writer.close()
    await until(lambda: site.waiting[0].cancelled())
    assert site.count("cancelled") == 1


async def test_events_that_end_with_the_connection_are_not_framed(
    site: Site, client: Client
) -> None:
    client.send("/grow", b"", "connection: close")
    await grow(site, b"")
    _, headers, _ = await client.read()
    assert headers["connection"] == "close"
    assert await client.read_all() == b"event: result\ndata: {}\n\n"


async def test_a_server_that_leaves_in_the_middle_of_events_ends_them_well(
    site: Site, client: Client
) -> None:
    client.send("/grow")
    await grow(site, b"1")
    site.server.stop()
    await until(lambda: not site.connection.turn.keep_alive)  # type: ignore[union-attr]
    await grow(site, b"")
    await client.read()
    chunks = [await client.read_chunk() for _ in range(3)]
    assert chunks[1:] == [b"event: result\ndata: {}\n\n", b""]
    assert await client.is_closed()

"""Heads that never end and heads that never come, against a real server on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from starlette.types import Receive, Scope, Send

from service.http.limits import Limits
from service.http.protocol import HeadLimitProtocol
from service.http.server import KEEP_ALIVE_S, HttpServer, listen, make_server

pytestmark = pytest.mark.anyio


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    server = make_server(hello, limits=Limits(header_s=1000), drain_s=1)
    listener = listen("127.0.0.1", 0)
    running = asyncio.create_task(server.serve([listener]))
    await until(lambda: server.started)
    yield server
    server.stop()
    await running


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110  # a server has no event for it
        await asyncio.sleep(0.001)  # a server has no event for it


async def connect(server: HttpServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = server.servers[0].sockets[0].getsockname()
    return await asyncio.open_connection(host, port)


def only_connection(server: HttpServer) -> HeadLimitProtocol:
    (connection,) = server.server_state.connections
    assert isinstance(connection, HeadLimitProtocol)
    return connection


async def until_connected(server: HttpServer) -> HeadLimitProtocol:
    await until(lambda: bool(server.server_state.connections))
    return only_connection(server)


async def test_an_ordinary_request_is_answered(server: HttpServer) -> None:
    reader, writer = await connect(server)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert (await reader.read()).endswith(b"hello\r\n0\r\n\r\n")
    writer.close()


async def test_a_connection_that_says_nothing_is_late(server: HttpServer) -> None:
    reader, writer = await connect(server)
    connection = await until_connected(server)
    began_s = connection.head_began_s
    assert began_s is not None
    connection.end_if_late(began_s + 999)
    assert not connection.transport.is_closing()
    connection.end_if_late(began_s + 1001)
    assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_head_that_trickles_is_late(server: HttpServer) -> None:
    reader, writer = await connect(server)
    connection = await until_connected(server)
    connected_s = connection.head_began_s
    writer.write(b"GET / HTTP/1.1\r\nx-slow: ")
    await until(lambda: connection.head_began_s != connected_s)
    began_s = connection.head_began_s
    assert began_s is not None
    connection.end_if_late(began_s + 1001)
    assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_body_may_take_longer_than_a_head(server: HttpServer) -> None:
    reader, writer = await connect(server)
    connection = await until_connected(server)
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n12")
    await until(lambda: connection.head_began_s is None)
    connection.end_if_late(1e12)
    writer.write(b"34")
    assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    writer.close()


async def test_a_connection_may_be_idle_between_requests_but_not_for_ever(
    server: HttpServer,
) -> None:
    reader, writer = await connect(server)
    idle_since_s: float | None = None
    for _ in range(2):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n0\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        idle_since_s = only_connection(server).idle_since_s
        assert idle_since_s is not None
        only_connection(server).end_if_late(idle_since_s + KEEP_ALIVE_S - 1)
    assert idle_since_s is not None
    only_connection(server).end_if_late(idle_since_s + KEEP_ALIVE_S + 1)
    assert await reader.read() == b""
    writer.close()


async def test_a_head_without_end_is_cut_off(server: HttpServer) -> None:
    reader, writer = await connect(server)
    await until_connected(server)
    writer.write(b"GET / HTTP/1.1\r\nx-long: ")
    received = asyncio.ensure_future(reader.read())
    for _ in range(40):
        writer.write(b"v" * 8192)
        await asyncio.sleep(0.001)
        if received.done():
            break
    assert (await received).startswith(b"HTTP/1.1 431 ")
    writer.close()


async def test_a_large_body_is_not_taken_for_a_head(server: HttpServer) -> None:
    reader, writer = await connect(server)
    size = 1 << 20
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size)
    for _ in range(16):
        writer.write(b"v" * (size // 16))
        await writer.drain()
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answers = await reader.read()
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    writer.close()


async def test_a_request_that_arrives_while_the_server_leaves_is_answered(
    server: HttpServer,
) -> None:
    reader, writer = await connect(server)
    connection = await until_connected(server)
    connection.shutdown()
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answer
    writer.close()


async def test_an_idle_connection_is_closed_when_the_server_leaves(server: HttpServer) -> None:
    reader, writer = await connect(server)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b"\r\n0\r\n\r\n")
    only_connection(server).shutdown()
    assert await reader.read() == b""
    writer.close()

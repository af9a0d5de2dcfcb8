"""A connection that a neighbour should have goes there whole, and no other does."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from service.http.limits import Limits
from tests.http.site import Client, Site, serving, until

pytestmark = pytest.mark.anyio

BODY = b"x" * 20


class Neighbours:
    """One neighbour, who takes what the test says, and keeps it or gives it to `to`."""

    def __init__(self) -> None:
        self.surplus = 0
        self.willing = False
        self.counts: list[int] = []
        self.asked: list[tuple[int, bool]] = []
        self.taken: list[socket.socket] = []
        self.adopt: Callable[[socket.socket, bool], None] | None = None
        self.closed = False

    def open(self, adopt: Callable[[socket.socket, bool], None]) -> None:
        self.adopt = adopt

    def has(self, connections: int) -> None:
        self.counts.append(connections)

    def takes(self, connection: int, here: int, *, is_idle: bool = False) -> bool:
        self.asked.append((here, is_idle))
        if not self.willing:
            return False
        self.taken.append(socket.socket(fileno=os.dup(connection)))
        self.surplus = 0
        return True

    def close(self) -> None:
        self.closed = True


@asynccontextmanager
async def site_with(neighbours: Neighbours) -> AsyncIterator[Site]:
    async with serving(Limits(), neighbours=neighbours) as site:
        yield site
    for connection in neighbours.taken:
        connection.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


async def answered(client: Client, body: bytes = BODY) -> bytes:
    client.send("/echo", body)
    return (await client.read())[2]


async def test_neighbours_know_how_many_there_are() -> None:
    neighbours = Neighbours()
    async with site_with(neighbours) as site:
        first, second = await Client.to(site), await Client.to(site)
        await until(lambda: neighbours.counts == [1, 2])
        assert neighbours.asked == [(0, False), (1, False)]
        first.writer.close()
        await until(lambda: neighbours.counts == [1, 2, 1])
        assert await answered(second) == BODY
        second.writer.close()
        await until(lambda: neighbours.counts == [1, 2, 1, 0])
    assert neighbours.closed


async def test_a_new_one_that_a_neighbour_takes_is_not_ours() -> None:
    ours, theirs = Neighbours(), Neighbours()
    async with site_with(ours) as site, site_with(theirs) as other:
        ours.willing = True
        client = await Client.to(site)
        client.send("/echo", BODY)
        await until(lambda: bool(ours.taken))
        await asyncio.sleep(0.02)
        assert ours.counts in ([], [0])
        assert not site.server.server_state.connections
        assert theirs.adopt is not None
        theirs.willing = True  # and yet it stays where it was brought
        theirs.adopt(ours.taken.pop(), False)
        assert (await client.read())[2] == BODY
        assert theirs.asked == []
        assert len(other.server.server_state.connections) == 1
        assert other.connection.idle_since_s is not None
        assert await answered(client, b"again") == b"again"
        client.writer.close()


async def test_an_idle_one_goes_after_its_answer_and_goes_on_there() -> None:
    ours, theirs = Neighbours(), Neighbours()
    async with site_with(ours) as site, site_with(theirs) as other:
        client, stays = await Client.to(site), await Client.to(site)
        assert await answered(client) == BODY  # its head is known from now on
        ours.willing, ours.surplus = True, 1
        assert await answered(client) == BODY
        await until(lambda: bool(ours.taken))
        assert ours.asked[-1] == (1, True)
        await until(lambda: ours.counts[-1] == 1)
        assert len(site.server.server_state.connections) == 1
        assert theirs.adopt is not None
        theirs.adopt(ours.taken.pop(), True)
        await until(lambda: theirs.counts == [1])
        assert other.connection.head_began_s is None  # it owes us nothing
        assert other.connection.idle_since_s is not None
        for body in (b"one", b"two"):
            assert await answered(client, body) == body
        assert await answered(stays) == BODY
        client.writer.close()
        stays.writer.close()


async def test_who_sends_a_head_and_then_a_body_goes_too() -> None:
    neighbours = Neighbours()
    async with site_with(neighbours) as site:
        client = await Client.to(site)
        client.send("/echo", b"", f"content-length: {len(BODY)}")
        await until(lambda: bool(site.server.server_state.connections) and site.connection.inside)
        neighbours.willing, neighbours.surplus = True, 1
        client.writer.write(BODY)
        assert (await client.read())[2] == BODY
        await until(lambda: bool(neighbours.taken))
        client.writer.close()


@pytest.mark.parametrize("begun", [b"P", b"POST /echo HTTP/1.1\r\nho", b"whole"])
async def test_who_has_asked_for_more_stays(begun: bytes) -> None:
    """What was read and is not answered cannot go anywhere."""
    neighbours = Neighbours()
    async with site_with(neighbours) as site:
        client = await Client.to(site)
        client.send("/wait")
        await until(lambda: bool(site.waiting))
        if begun == b"whole":
            client.send("/wait")
            await until(lambda: bool(site.connection.pipeline))
        else:
            client.writer.write(begun)
            await until(lambda: site.connection.head_began_s is not None)
        connection = site.connection
        neighbours.willing, neighbours.surplus = True, 1
        site.waiting.pop().set_result(b"first")
        assert (await client.read())[2] == b"first"
        await asyncio.sleep(0.02)
        connection._pass_on_if_idle()  # as if it had been due just now
        assert neighbours.taken == []
        if begun == b"whole":
            await until(lambda: bool(site.waiting))
            site.waiting.pop().set_result(b"second")
            assert (await client.read())[2] == b"second"
            await until(lambda: bool(neighbours.taken))
        client.writer.close()


async def test_who_went_the_long_way_stays() -> None:
    neighbours = Neighbours()
    async with site_with(neighbours) as site:
        client = await Client.to(site)
        neighbours.willing, neighbours.surplus = True, 1
        client.send("/long")
        assert (await client.read())[2] == b"long"
        await asyncio.sleep(0.02)
        assert neighbours.taken == []
        client.writer.close()


async def test_who_asks_again_before_it_could_go_stays() -> None:
    neighbours = Neighbours()
    async with site_with(neighbours) as site:
        client = await Client.to(site)
        client.send("/wait")
        await until(lambda: bool(site.waiting))
        site.waiting.pop().set_result(b"known")
        await client.read()
        client.send("/wait")
        await until(lambda: bool(site.waiting))
        neighbours.willing, neighbours.surplus = True, 1
        connection = site.connection
        connection._pass_on_if_idle()  # as if it had been due just now
        assert neighbours.taken == []
        site.waiting.pop().set_result(b"done")
        assert (await client.read())[2] == b"done"
        await until(lambda: bool(neighbours.taken))
        client.writer.close()


async def test_nobody_goes_whose_answer_is_not_written() -> None:
    class Behind:
        def __init__(self, transport: asyncio.Transport) -> None:
            self._transport = transport

        def __getattr__(self, name: str) -> object:
            return getattr(self._transport, name)

        def get_write_buffer_size(self) -> int:
            return 1

    neighbours = Neighbours()
    async with site_with(neighbours) as site:
        client = await Client.to(site)
        assert await answered(client) == BODY
        neighbours.willing = True
        connection = site.connection
        connection.transport = Behind(connection.transport)  # type: ignore[assignment]
        connection._pass_on_if_idle()
        assert neighbours.taken == []
        connection.transport = connection.transport._transport  # type: ignore[attr-defined]
        connection._pass_on_if_idle()
        assert len(neighbours.taken) == 1
        client.writer.close()


async def test_nobody_goes_while_the_server_leaves() -> None:
    neighbours = Neighbours()
    async with site_with(neighbours) as site:
        client = await Client.to(site)
        assert await answered(client) == BODY
        connection = site.connection
        neighbours.willing, neighbours.surplus = True, 1
        connection.shutdown()
        client.send("/echo", BODY)
        assert (await client.read())[2] == BODY
        await asyncio.sleep(0.02)
        assert neighbours.taken == []
        client.writer.close()


async def test_nobody_goes_without_a_surplus() -> None:
    neighbours = Neighbours()
    async with site_with(neighbours) as site:
        client = await Client.to(site)
        neighbours.willing = True
        for _ in range(3):
            assert await answered(client) == BODY
        await asyncio.sleep(0.02)
        assert neighbours.taken == []
        client.writer.close()

"""All connections that wait are taken, not one a turn of the loop."""

import asyncio
import socket

import pytest

from service.http.acceptor import AT_ONCE, Acceptor
from service.http.limits import Limits
from service.http.neighbours import Adopting
from service.http.server import listen
from tests.http.site import Client, Site, serving, until

pytestmark = pytest.mark.anyio


async def test_they_are_taken_together() -> None:
    listener = listen("127.0.0.1", 0)
    listener.listen(AT_ONCE)
    listener.setblocking(False)
    made: list[Adopting] = []

    def make() -> Adopting:
        made.append(Adopting())
        return made[-1]

    acceptor = Acceptor([listener], make)
    clients = [socket.create_connection(listener.getsockname()) for _ in range(20)]
    acceptor.connected()
    acceptor.connected()  # once is enough
    await asyncio.sleep(0)
    with pytest.raises(BlockingIOError):
        listener.accept()
    await until(lambda: len(made) == len(clients))
    for client in clients:
        client.close()
    listener.close()


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
async def test_a_server_takes_them_all_in_a_few_turns_of_its_loop() -> None:
    """uvloop alone takes one a turn."""
    async with serving(Limits()) as site:
        address = site.server.servers[0].sockets[0].getsockname()
        clients = [socket.create_connection(address) for _ in range(50)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(site.server.server_state.connections) == len(clients)
        for client in clients:
            client.close()


async def test_a_burst_of_connections_is_answered(site: Site) -> None:
    clients = [await Client.to(site) for _ in range(50)]
    for number, client in enumerate(clients):
        client.send("/echo", b"%d" % number)
    for number, client in enumerate(clients):
        assert (await client.read())[2] == b"%d" % number
        client.writer.close()
    await until(lambda: not site.server.server_state.connections)

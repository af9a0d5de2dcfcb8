"""Connections go to the worker that has fewest, new ones and idle ones."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from service.fleet import connections as module
from service.fleet.connections import SharedConnections
from service.fleet.seat import Seat

pytestmark = pytest.mark.anyio

COUNT = 3


class Worker:
    """One of three, and what it was given."""

    def __init__(self, folder: Path, number: int) -> None:
        self.shared = SharedConnections(Seat(number, COUNT, folder, report=-1, lifeline=-1))
        self.given: list[tuple[socket.socket, bool]] = []
        self.news = asyncio.Event()

    def open(self, has: int = 0) -> None:
        self.shared.open(self._adopt)
        if has:
            self.shared.has(has)

    def _adopt(self, connection: socket.socket, is_idle: bool) -> None:
        self.given.append((connection, is_idle))
        self.news.set()

    async def gets(self, count: int) -> None:
        while len(self.given) < count:
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 10)


class Connection:
    """Both ends of one."""

    def __init__(self) -> None:
        self.here, self.client = socket.socketpair()
        self.number = self.here.fileno()

    def close(self) -> None:
        self.here.close()
        self.client.close()


@pytest.fixture
def connection() -> Iterator[Connection]:
    found = Connection()
    yield found
    found.close()


@pytest.fixture
def made(tmp_path: Path) -> list[Worker]:
    return [Worker(tmp_path, number) for number in range(COUNT)]


@pytest.fixture
async def workers(made: list[Worker]) -> AsyncIterator[list[Worker]]:
    yield made
    for worker in made:
        worker.shared.close()
        for connection, _ in worker.given:
            connection.close()


async def test_a_new_one_goes_to_who_has_fewest_and_lives_there(
    workers: list[Worker], connection: Connection
) -> None:
    first, second, third = workers
    first.open(has=2)
    second.open(has=1)
    third.open()
    assert first.shared.takes(connection.number, 2)
    connection.here.close()  # it is the other's now
    await third.gets(1)
    ((taken, is_idle),) = third.given
    assert not is_idle
    assert (first.given, second.given) == ([], [])
    connection.client.sendall(b"still there")
    taken.setblocking(False)
    assert await asyncio.get_running_loop().sock_recv(taken, 99) == b"still there"


async def test_one_that_is_idle_is_told_to_be(
    workers: list[Worker], connection: Connection
) -> None:
    first, second, _ = workers
    first.open(has=2)
    second.open()
    assert first.shared.takes(connection.number, 1, is_idle=True)
    await second.gets(1)
    assert second.given[0][1]


@pytest.mark.parametrize(("here", "there"), [(0, 0), (1, 1), (1, 2), (0, 5)])
async def test_nothing_goes_to_who_has_as_many(
    workers: list[Worker], connection: Connection, here: int, there: int
) -> None:
    first, second, _ = workers
    first.open(has=here)
    second.open(has=there)
    assert not first.shared.takes(connection.number, here)
    await asyncio.sleep(0.01)
    assert second.given == []


async def test_who_is_alone_keeps_all(workers: list[Worker], connection: Connection) -> None:
    first, second, third = workers
    first.open(has=9)
    second.shared.has(1)  # it does not count before it is open
    assert not first.shared.takes(connection.number, 9)
    assert first.shared.surplus == 0
    assert not third.shared.takes(connection.number, 99)  # nor does who is not open have any


async def test_what_is_on_its_way_counts(workers: list[Worker]) -> None:
    """Many come at once, before those who take them have noticed any."""
    first, second, third = workers
    for worker in workers:
        worker.open()
    ends = [Connection() for _ in range(9)]
    kept = 0
    for end in ends:
        if not first.shared.takes(end.number, kept):
            kept += 1
            first.shared.has(kept)
    assert kept == 3
    await second.gets(3)
    await third.gets(3)
    for end in ends:
        end.close()


async def test_who_left_or_died_is_given_nothing(
    workers: list[Worker], connection: Connection, tmp_path: Path
) -> None:
    first, second, third = workers
    first.open(has=5)
    second.open()
    second.shared.close()
    assert not first.shared.takes(connection.number, 5)
    third.open()
    third.shared._door.close()  # as if it had died: its number still stands there
    assert not first.shared.takes(connection.number, 5)
    reborn = await asyncio.to_thread(Worker, tmp_path, 2)
    assert not first.shared.takes(connection.number, 5)  # it takes none yet
    reborn.open()
    assert first.shared.takes(connection.number, 5)
    await reborn.gets(1)
    reborn.shared.close()
    for taken, _ in reborn.given:
        taken.close()


async def test_what_was_sent_before_it_closed_is_taken(
    workers: list[Worker], connection: Connection
) -> None:
    first, second, _ = workers
    first.open(has=1)
    second.open()
    assert first.shared.takes(connection.number, 1)
    second.shared.close()
    assert len(second.given) == 1
    second.shared.has(1)  # and it does not come back by counting
    assert not second.shared.takes(connection.number, 9)
    assert not first.shared.takes(connection.number, 1)
    second.shared.close()


@pytest.mark.parametrize(
    ("here", "there", "surplus"), [(5, 0, 2), (4, 0, 2), (2, 0, 1), (1, 0, 0), (3, 3, 0), (0, 4, 0)]
)
async def test_who_has_too_many_knows_it(
    workers: list[Worker],
    monkeypatch: pytest.MonkeyPatch,
    here: int,
    there: int,
    surplus: int,
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    first, second, _ = workers
    first.open(has=here)
    second.open(has=there)
    await asyncio.sleep(0.05)
    assert first.shared.surplus == surplus


async def test_a_surplus_goes_down_with_each_that_goes(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    first, second, _ = workers
    first.open(has=5)
    second.open()
    await asyncio.sleep(0.05)
    monkeypatch.setattr(module, "LOOK_S", 60.0)
    await asyncio.sleep(0.05)
    ends = [Connection() for _ in range(2)]
    for left, end in zip((1, 0), ends, strict=True):
        assert first.shared.takes(end.number, 4, is_idle=True)
        assert first.shared.surplus == left
        end.close()


async def test_who_counted_one_that_never_came_is_put_right(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    first, second, _ = workers
    first.open(has=4)
    second.open(has=2)
    second.shared._counts[1] += 2  # as others would
    await asyncio.sleep(0.05)
    assert first.shared.surplus == 1


async def test_who_cannot_take_any_is_left_alone(
    workers: list[Worker], connection: Connection
) -> None:
    first, second, _ = workers
    first.open(has=5)
    second.open(has=3)
    second.shared._door.close()
    assert not first.shared.takes(connection.number, 5)
    assert second.shared._counts[1] == module.AWAY  # nobody tries again
    second.shared._look()  # unless it is there after all
    assert second.shared._counts[1] == 4


async def test_who_has_closed_looks_no_more(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    first, second, _ = workers
    first.open(has=5)
    second.open()
    await asyncio.sleep(0.05)
    assert first.shared.surplus == 2
    first.shared.close()
    assert first.shared.surplus == 0
    first.shared._counts[0] = 6  # who has its seat now
    await asyncio.sleep(0.05)
    assert first.shared.surplus == 0

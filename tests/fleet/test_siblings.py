"""What workers ask of each other, over their sockets."""

import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from service.errors import NotReady
from service.fleet.seat import Seat
from service.fleet.siblings import Siblings

pytestmark = pytest.mark.anyio

COUNT = 3


class Worker:
    """One worker with a counter of its own."""

    def __init__(self, folder: Path, number: int, replacement: bool = False) -> None:
        self.ready = True
        registry = CollectorRegistry()
        self.counter = Counter("slipway_items", "Items.", registry=registry)
        seat = Seat(number, COUNT, folder, report=-1, lifeline=-1, replacement=replacement)
        self.siblings = Siblings(seat, registry, self._require_ready)

    def _require_ready(self) -> None:
        if not self.ready:
            raise NotReady("Loading.")

    async def total(self) -> float:
        """What this one tells of all."""
        text, _ = await self.siblings.render()
        families = text_string_to_metric_families(text.decode())
        samples = [sample for family in families for sample in family.samples]
        return sum(sample.value for sample in samples if sample.name == "slipway_items_total")


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[Worker]:
    await worker.siblings.open()
    try:
        yield worker
    finally:
        worker.siblings.close()


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[list[Worker]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(working(Worker(tmp_path, number)))
            for number in range(COUNT)
        ]


async def test_whoever_is_asked_tells_the_sum(workers: list[Worker]) -> None:
    for number, worker in enumerate(workers):
        worker.counter.inc(10**number)
    assert [await worker.total() for worker in workers] == [111.0] * COUNT


async def test_all_are_ready_when_each_is(workers: list[Worker]) -> None:
    await workers[0].siblings.require_all_ready()
    workers[2].ready = False
    with pytest.raises(NotReady, match="1 of 3"):
        await workers[0].siblings.require_all_ready()
    with pytest.raises(NotReady, match="Loading"):
        await workers[2].siblings.require_all_ready()


async def test_one_that_is_gone_is_not_ready_and_what_it_told_still_counts(
    workers: list[Worker],
) -> None:
    workers[1].counter.inc(5)
    assert await workers[0].total() == 5
    workers[1].siblings.close()
    with pytest.raises(NotReady, match="1 of 3"):
        await workers[0].siblings.require_all_ready()
    assert await workers[0].total() == 5


async def test_a_replacement_goes_on_where_the_last_one_was_seen(
    workers: list[Worker], tmp_path: Path
) -> None:
    workers[1].counter.inc(5)
    assert await workers[0].total() == 5
    workers[1].siblings.close()
    async with working(Worker(tmp_path, 1, replacement=True)) as replacement:
        replacement.counter.inc(2)
        assert await workers[0].total() == 7
        assert await replacement.total() == 7


class Overtaken:
    """A lock that somebody else is given first."""

    def __init__(self, overtake: Callable[[], object]) -> None:
        self._overtake = [overtake]
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if self._overtake:
            self._overtake.pop()()
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


async def test_what_was_told_of_a_worker_does_not_fall_when_it_is_asked_twice_at_once(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, asks = workers[1], workers[0]

    def ask_again() -> None:
        asked.counter.inc(5)
        asked.siblings._page()

    monkeypatch.setattr(asked.siblings, "_telling", Overtaken(ask_again))
    await asks.total()
    asked.siblings.close()
    assert await asks.total() == 5


async def test_a_first_worker_begins_at_nothing(tmp_path: Path) -> None:
    async with working(Worker(tmp_path, 0)) as old:
        old.counter.inc()
        await old.total()
    async with working(Worker(tmp_path, 0)) as fresh:
        assert await fresh.total() == 0


@pytest.mark.parametrize("say", [lambda seat: seat.tell("ready", "All well.\nTry it.")])
def test_a_worker_tells_the_supervisor(tmp_path: Path, say: Callable[[Seat], None]) -> None:
    read, write = os.pipe()
    say(Seat(0, 1, tmp_path, report=write, lifeline=-1))
    os.close(write)
    assert os.read(read, 100) == b"ready\nAll well.\nTry it.\0"
    os.close(read)

"""Who observes a batch is told whose items are in it. That all leave it, every test here checks."""

import asyncio

import pytest

from service.batching.sharing import Sharing
from service.errors import InferenceFailed
from tests.batching.conftest import MakeBatcher
from tests.batching.doubles import GatedRunner, Recorder, turn

pytestmark = pytest.mark.anyio

FAR = 1e6


async def test_a_batch_tells_what_was_said_when_its_calls_were_admitted(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher()
    first = asyncio.create_task(batcher.submit(1, deadline=FAR))
    await runner.entered()
    others = [
        asyncio.create_task(batcher.submit_many(parts, deadline=FAR)) for parts in ([2, 3], [4])
    ]
    await turn()
    runner.let_through(2)
    assert await asyncio.gather(first, *others) == [10, [20, 30], [40]]
    origins = [run.origins for run in observer.runs]
    assert origins == [["call 1"], ["call 2", "call 2", "call 3"]]


async def test_a_worker_counts_as_busy_while_its_batch_runs(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(workers=2, max_batch_size=1)
    calls = [asyncio.create_task(batcher.submit(part, deadline=FAR)) for part in (1, 2, 3)]
    await runner.entered(2)
    assert observer.at_work == 2
    runner.let_through(3)
    await asyncio.gather(*calls)


async def test_a_call_that_shares_the_item_of_another_is_in_its_batch_too(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(sharing=Sharing(key=lambda part: part))
    first = asyncio.create_task(batcher.submit(1, deadline=FAR))
    await runner.entered()
    twice = [asyncio.create_task(batcher.submit(2, deadline=FAR)) for _ in range(2)]
    await turn()
    runner.let_through(2)
    assert await asyncio.gather(first, *twice) == [10, 20, 20]
    assert observer.sizes == [1, 1]
    assert observer.runs[1].origins == ["call 2", "call 3"]


async def test_a_batch_that_breaks_is_left_by_all(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    def break_down(parts: list[int]) -> None:
        raise MemoryError

    batcher = make_batcher()
    runner.before_answer = break_down
    runner.open()
    with pytest.raises(InferenceFailed):
        await batcher.submit_many([1, 2], deadline=FAR)
    assert observer.runs[0].count == 0

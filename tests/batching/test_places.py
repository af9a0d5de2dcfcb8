"""How many may wait: bulk takes no place from others, and large requests have a way in."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.cost import Parts
from service.errors import Overloaded
from tests.batching.doubles import GatedRunner, Recorder, turn
from tests.batching.known import FAR, ONE_BY_ONE, Known, busy, submitted

MakeBatcher = Callable[..., Batcher[int, Any]]

pytestmark = pytest.mark.anyio


async def test_bulk_that_fills_the_queue_leaves_others_their_places(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_batch_size=1, max_queue_size=2)
    tasks = await busy(batcher, runner)
    tasks += [submitted(batcher, part, priority="bulk") for part in (1, 2)]
    await turn()
    assert isinstance(batcher.refusal("bulk", FAR), Overloaded)
    with pytest.raises(Overloaded, match="2 items wait already and 2 may"):
        await batcher.submit(3, deadline=FAR, priority="bulk")
    assert batcher.refusal("interactive", FAR) is None
    tasks += [submitted(batcher, part) for part in (3, 4)]
    await turn()
    assert batcher.depth == 4, "twice as many as one kind may"
    with pytest.raises(Overloaded, match="2 items wait already and 2 may"):
        await batcher.submit(5, deadline=FAR)
    assert isinstance(batcher.refusal("interactive", FAR), Overloaded)
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 20, 30, 40]
    assert observer.ended == {"ok": 5, "shed": 4}


async def test_before_bulk_everybody_waits(make_batcher: MakeBatcher, runner: GatedRunner) -> None:
    batcher = make_batcher(max_batch_size=1, max_queue_size=2)
    tasks = await busy(batcher, runner, 1, 2)
    with pytest.raises(Overloaded):
        await batcher.submit(3, deadline=FAR, priority="bulk")
    runner.open()
    await asyncio.gather(*tasks)


async def test_who_finds_no_place_comes_back_when_those_before_it_are_taken(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_queue_size=2, **ONE_BY_ONE)
    tasks = await busy(batcher, runner)
    tasks += [submitted(batcher, part, priority="bulk") for part in (1, 2)]
    await turn()
    tasks += [submitted(batcher, part) for part in (3, 4)]
    await turn()
    for priority, seconds in (("interactive", 2), ("bulk", 4)):
        with pytest.raises(Overloaded, match=f"try again in {seconds} s"):
            await batcher.submit(5, deadline=FAR, priority=priority)  # type: ignore[arg-type]
    runner.open()
    await asyncio.gather(*tasks)


async def test_a_request_larger_than_the_queue_needs_half_of_it_free(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_queue_size=4)
    tasks = await busy(batcher, runner, 1, 2, 3)
    reason = r"3 items wait already, this request brings 9 \(counted as 2\) and 4 may wait; try"
    with pytest.raises(Overloaded, match=reason):
        await batcher.submit_many(range(11, 20), deadline=FAR)
    tasks.pop().cancel()
    await turn()
    many = asyncio.create_task(batcher.submit_many(range(11, 20), deadline=FAR))
    await turn()
    assert batcher.depth == 11
    runner.open()
    assert await many == [part * 10 for part in range(11, 20)]
    await asyncio.gather(*tasks)


async def test_who_brings_several_is_told_how_many(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_queue_size=4)
    tasks = await busy(batcher, runner, 1, 2, 3)
    with pytest.raises(Overloaded, match="already, this request brings 2 and 4 may wait; try"):
        await batcher.submit_many([5, 6], deadline=FAR)
    runner.open()
    await asyncio.gather(*tasks)


async def test_bulk_is_no_company_that_makes_others_late(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_batch_size=32, latency=Known(Parts(row_s=1.0)))
    tasks = await busy(batcher, runner)
    tasks += [submitted(batcher, part, priority="bulk") for part in range(1, 11)]
    await turn()
    assert batcher.refusal("interactive", 20.0) is None
    assert isinstance(batcher.refusal("bulk", 20.0), Overloaded)
    tasks.append(asyncio.create_task(batcher.submit(11, deadline=batcher._clock() + 20.0)))
    await turn()
    runner.open()
    assert len(await asyncio.gather(*tasks)) == 12

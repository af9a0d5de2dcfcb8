"""Whom the door let pass is let in by what it saw, as long as that still holds."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.cost import Parts
from service.errors import Overloaded
from tests.batching.doubles import Clock, GatedRunner, turn
from tests.batching.known import FAR, Known, busy, submitted

MakeBatcher = Callable[..., Batcher[int, Any]]

pytestmark = pytest.mark.anyio

# A second for each unit of cost. Item 0 runs and item 1 waits: 2 s, and the cost of who comes.
A_SECOND_A_UNIT = Parts(cell_s=1.0)


class Counting(Known):
    """Counts how often it is asked."""

    asked = 0

    def seconds(self, size: int, length: int) -> float:
        self.asked += 1
        return super().seconds(size, length)


async def crowded(
    make_batcher: MakeBatcher, runner: GatedRunner, **how: Any
) -> tuple[Batcher[int, Any], list[asyncio.Task[Any]]]:
    batcher = make_batcher(**({"max_batch_size": 1, "latency": Known(A_SECOND_A_UNIT)} | how))
    return batcher, await busy(batcher, runner, 1)


async def ended(batcher: Batcher[int, Any], runner: GatedRunner, *tasks: asyncio.Task[Any]) -> None:
    runner.open()
    await asyncio.gather(*tasks)
    await batcher.drain()


async def test_what_the_door_saw_is_not_asked_again(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    async def asked_for(cost: int, *, by_the_door: bool) -> int:
        if by_the_door:
            assert batcher.refusal("interactive", FAR, lambda: cost) is None
        before = latency.asked
        tasks.append(submitted(batcher, 5, cost=cost))
        await turn()
        return latency.asked - before

    latency = Counting(A_SECOND_A_UNIT)
    batcher, tasks = await crowded(make_batcher, runner, latency=latency)
    assert await asked_for(3, by_the_door=True) < await asked_for(3, by_the_door=False)
    await ended(batcher, runner, *tasks)


@pytest.mark.parametrize(
    ("cost_at_the_door", "cost", "spare_s", "why"),
    [
        (3, 3, 4.5, r"about 5 s and is wanted within 4\.5 s"),  # read for half a second
        (1, 4, 5.0, r"about 6 s and is wanted within 5 s"),
    ],
)
async def test_who_has_less_time_or_costs_more_than_at_the_door_is_refused(
    make_batcher: MakeBatcher,
    runner: GatedRunner,
    clock: Clock,
    cost_at_the_door: int,
    cost: int,
    spare_s: float,
    why: str,
) -> None:
    batcher, tasks = await crowded(make_batcher, runner)
    assert batcher.refusal("interactive", 5.0, lambda: cost_at_the_door) is None
    with pytest.raises(Overloaded, match=why):
        await batcher.submit(5, cost=cost, deadline=clock() + spare_s)
    await ended(batcher, runner, *tasks)


async def test_several_are_not_let_in_as_one(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock
) -> None:
    batcher, tasks = await crowded(make_batcher, runner)
    assert batcher.refusal("interactive", 5.0, lambda: 2) is None
    with pytest.raises(Overloaded):
        await batcher.submit_many([5, 6], costs=[2, 2], deadline=clock() + 5.0)
    await ended(batcher, runner, *tasks)


async def test_bulk_is_not_let_in_for_what_others_would_meet(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock
) -> None:
    batcher, tasks = await crowded(make_batcher, runner)
    tasks.append(submitted(batcher, 2, priority="bulk"))
    await turn()
    assert batcher.refusal("interactive", 3.5) is None
    with pytest.raises(Overloaded, match="about 4 s"):
        await batcher.submit(5, priority="bulk", deadline=clock() + 3.5)
    await ended(batcher, runner, *tasks)


async def test_once_the_line_is_another_the_door_saw_too_much(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock
) -> None:
    batcher, tasks = await crowded(make_batcher, runner)
    assert batcher.refusal("interactive", 9.0) is None
    runner.let_through()
    await runner.entered()
    await turn()  # item 0 has its answer, and item 1 runs
    tasks.append(submitted(batcher, 5, deadline=clock() + 2.5))
    await turn()
    assert batcher.depth == 1
    await ended(batcher, runner, *tasks)


async def test_once_another_one_came_the_door_saw_too_little(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock
) -> None:
    batcher, tasks = await crowded(make_batcher, runner)
    assert batcher.refusal("interactive", 3.5) is None
    tasks.append(submitted(batcher, 2))
    await turn()
    with pytest.raises(Overloaded, match="about 4 s"):
        await batcher.submit(5, deadline=clock() + 3.5)
    await ended(batcher, runner, *tasks)

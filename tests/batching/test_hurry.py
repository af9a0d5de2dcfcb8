"""A partial batch that waits for company goes while its items can still be in time."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.cost import Parts
from service.batching.line import Line
from service.batching.pace import BatchPace
from service.batching.policy import HAND_OFF_S, BatchPolicy
from service.batching.queueing import Claim, QueuedItem, Submission
from service.batching.sharing import Sharing
from tests.batching.doubles import Clock, GatedRunner, Recorder
from tests.batching.known import Known

MakeBatcher = Callable[..., Batcher[int, Any]]

pytestmark = pytest.mark.anyio

FAR = 1e6
DELAY_S = 1.0
TICK_S = 1 / 1024


@pytest.fixture
def line(clock: Clock) -> Line[int]:
    policy = BatchPolicy(max_batch_size=4, max_queue_size=9, max_queue_delay_s=DELAY_S)
    return Line(policy, clock, BatchPace(Known(Parts(row_s=0.0625, cell_s=0.0625)), 4))


def enter(line: Line[int], clock: Clock, part: int, *deadlines_s: float, cost: int = 1) -> None:
    future = asyncio.get_running_loop().create_future
    claims = [Claim(Submission[int](future(), s, False, [None], 1), 0) for s in deadlines_s]
    assert line.enter([QueuedItem(part, cost, clock(), claims)])


def due_after(line: Line[int], clock: Clock, seconds: float) -> tuple[list[int], str]:
    """What is taken after so many seconds, and not before."""
    clock.advance(seconds - TICK_S)
    assert line.take().items == []
    clock.advance(2 * TICK_S)
    items, reason = line.take()
    return [item.part for item in items], reason


async def test_who_would_be_late_after_the_delay_goes_before_it_ends(
    line: Line[int], clock: Clock
) -> None:
    enter(line, clock, 1, clock() + 0.5)  # runs for an eighth, and may take twice as long
    assert due_after(line, clock, 0.25 - HAND_OFF_S) == ([1], "deadline")


async def test_who_has_time_waits_out_the_delay(line: Line[int], clock: Clock) -> None:
    enter(line, clock, 1, FAR)
    assert due_after(line, clock, DELAY_S) == ([1], "age")


async def test_the_one_in_the_greatest_hurry_decides_for_all(line: Line[int], clock: Clock) -> None:
    for part, deadline_s in ((1, FAR), (2, clock() + 1.5), (3, FAR)):
        enter(line, clock, part, deadline_s, cost=2)
    # Three of cost 2 run for 9/16 of a second.
    assert due_after(line, clock, 0.375 - HAND_OFF_S) == ([1, 2, 3], "deadline")


async def test_of_those_who_share_an_item_the_first_to_give_up_decides(
    line: Line[int], clock: Clock
) -> None:
    enter(line, clock, 1, FAR, clock() + 0.5)
    assert due_after(line, clock, 0.25 - HAND_OFF_S) == ([1], "deadline")


async def test_an_item_that_everybody_just_left_hurries_nobody(
    line: Line[int], clock: Clock
) -> None:
    enter(line, clock, 1)
    enter(line, clock, 2, FAR)
    assert due_after(line, clock, DELAY_S) == ([2], "age")


async def test_a_run_that_others_join_waited_for_nobody(line: Line[int], clock: Clock) -> None:
    enter(line, clock, 1, FAR)
    items, reason = line.join(4, 0.0)
    assert ([item.part for item in items], reason) == ([1], "idle")


async def test_who_joins_an_item_that_waits_may_hurry_it(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock, observer: Recorder
) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    class WatchedPolicy(BatchPolicy):
        def slack_s(self, *, spare_s: float, run_s: float) -> float:
            loop.call_soon_threadsafe(asked.set)
            return super().slack_s(spare_s=spare_s, run_s=run_s)

    policy = WatchedPolicy(max_batch_size=4, max_queue_size=9, max_queue_delay_s=3600.0)
    batcher = make_batcher(policy, sharing=Sharing(lambda part: part))
    runner.open()
    patient = asyncio.create_task(batcher.submit(1, deadline=FAR))
    await asked.wait()
    assert await batcher.submit(1, deadline=clock() + HAND_OFF_S) == 10
    assert await patient == 10
    assert observer.reasons == ["deadline"]

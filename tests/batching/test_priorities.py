"""Interactive before bulk, and bulk all the same."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.line import Line
from service.batching.policy import BatchPolicy, Priority
from service.batching.queueing import Claim, QueuedItem, Submission
from tests.batching.doubles import Clock, GatedRunner, turn

MakeBatcher = Callable[..., Batcher[int, Any]]

pytestmark = pytest.mark.anyio

FAR = 1e6


def submitted(
    batcher: Batcher[int, Any], parts: list[int], priority: Priority = "interactive"
) -> list[asyncio.Task[Any]]:
    return [
        asyncio.create_task(batcher.submit(part, deadline=FAR, priority=priority)) for part in parts
    ]


async def order_of(
    batcher: Batcher[int, Any], runner: GatedRunner, *, bulk: list[int], interactive: list[int]
) -> list[list[int]]:
    """The batches in which these run that wait behind item 0; bulk came first."""
    tasks = submitted(batcher, [0])
    await runner.entered()
    tasks += submitted(batcher, bulk, "bulk")
    await turn()
    tasks += submitted(batcher, interactive)
    await turn()
    runner.open()
    answers = await asyncio.gather(*tasks)
    assert answers == [part * 10 for part in (0, *bulk, *interactive)]
    return runner.batches[1:]


async def test_interactive_items_pass_the_bulk_that_came_before_them(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batches = await order_of(
        make_batcher(max_batch_size=2), runner, bulk=[1, 2], interactive=[3, 4]
    )
    assert batches == [[3, 4], [1, 2]]


async def test_the_two_kinds_share_no_batch(make_batcher: MakeBatcher, runner: GatedRunner) -> None:
    batches = await order_of(make_batcher(), runner, bulk=[1, 2], interactive=[3])
    assert batches == [[3], [1, 2]]


async def test_bulk_is_passed_over_so_many_times_and_not_more(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_batch_size=1, bulk_every=3)
    batches = await order_of(batcher, runner, bulk=[100, 101], interactive=[1, 2, 3, 4, 5, 6, 7, 8])
    assert [batch[0] for batch in batches] == [1, 2, 3, 100, 4, 5, 6, 101, 7, 8]


async def test_a_bulk_batch_delays_who_comes_meanwhile_by_itself_alone(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_batch_size=2)
    tasks = submitted(batcher, [0, 1, 2, 3, 4, 5], "bulk")
    await runner.entered()
    tasks += submitted(batcher, [9])
    await turn()
    runner.let_through()
    await runner.entered()
    assert runner.batches[1] == [9]
    runner.open()
    await asyncio.gather(*tasks)


async def test_all_parts_of_a_bulk_request_are_bulk(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_batch_size=2)
    tasks = submitted(batcher, [0])
    await runner.entered()
    many = asyncio.create_task(batcher.submit_many([1, 2], deadline=FAR, priority="bulk"))
    each = asyncio.create_task(batcher.submit_each([3, 4], deadline=FAR, priority="bulk"))
    await turn()
    tasks += submitted(batcher, [9])
    await turn()
    runner.open()
    assert await many == [10, 20]
    assert await each == [30, 40]
    await asyncio.gather(*tasks)
    assert runner.batches == [[0], [9], [1, 2], [3, 4]]


@pytest.fixture
def line(clock: Clock) -> Line[int]:
    return Line(BatchPolicy(max_batch_size=8, max_queue_size=99, join_size=2, bulk_every=2), clock)


def enters(
    line: Line[int], clock: Clock, parts: list[int], priority: Priority, *, share_s: float = 0.0
) -> list[QueuedItem[int]]:
    items = []
    for part in parts:
        answer = asyncio.get_running_loop().create_future()
        claim = Claim(Submission[int](answer, FAR, False, [None], 1), 0)
        items.append(QueuedItem(part, 1, clock(), [claim], priority, share_s))
    assert line.enter(items)
    return items


def joining(line: Line[int], free: int) -> list[int]:
    return [item.part for item in line.join(free, 0.0).items]


async def test_bulk_that_joins_a_run_leaves_places_for_who_is_in_a_hurry(
    line: Line[int], clock: Clock
) -> None:
    enters(line, clock, [1, 2, 3, 4], "bulk")
    assert joining(line, 5) == [1, 2, 3]
    assert joining(line, 2) == []
    enters(line, clock, [9, 10], "interactive")
    assert joining(line, 2) == [9, 10]
    assert joining(line, 3) == [4]


async def test_bulk_that_starts_a_run_leaves_places_too(line: Line[int], clock: Clock) -> None:
    enters(line, clock, [1, 2, 3, 4], "bulk")
    assert [item.part for item in line.take(5).items] == [1, 2, 3]
    assert [item.part for item in line.take(2).items] == [4], "one goes, or none ever would"
    enters(line, clock, [1, 2, 3, 4], "interactive")
    assert [item.part for item in line.take(3).items] == [1, 2, 3]
    assert [item.part for item in line.take(3).items] == [4]


async def test_bulk_joins_a_run_that_interactive_items_keep_full(
    line: Line[int], clock: Clock
) -> None:
    enters(line, clock, [100], "bulk")
    enters(line, clock, [1, 2, 3, 4, 5, 6], "interactive")
    assert [joining(line, 2) for _ in range(2)] == [[1, 2], [3, 4]]
    assert joining(line, 3) == [100]
    assert joining(line, 2) == [5, 6]


async def test_who_was_passed_over_and_left_earned_nothing_for_those_after_it(
    line: Line[int], clock: Clock
) -> None:
    left = enters(line, clock, [100], "bulk")
    for part in (1, 2):
        enters(line, clock, [part], "interactive")
        line.take()
    line.leave(left)
    enters(line, clock, [3], "interactive")
    line.take()
    enters(line, clock, [101], "bulk")
    enters(line, clock, [4], "interactive")
    assert [item.part for item in line.take().items] == [4]


async def test_the_oldest_of_both_kinds_says_how_long_a_line_has_waited(clock: Clock) -> None:
    rules = BatchPolicy(max_batch_size=8, max_queue_size=9, max_queue_delay_s=0.5)
    line = Line[int](rules, clock)
    enters(line, clock, [100], "bulk")
    clock.advance(0.5)
    enters(line, clock, [1], "interactive")
    assert [item.part for item in line.take().items] == [1]


async def test_predicted_seconds_are_kept_by_kind_and_end_at_zero(
    line: Line[int], clock: Clock
) -> None:
    bulk = enters(line, clock, [1, 2, 3], "bulk", share_s=0.1)
    enters(line, clock, [4, 5], "interactive", share_s=0.2)
    assert line.waiting_s("interactive") == pytest.approx(0.4)
    assert line.waiting_s("bulk") == line.waiting_s() == pytest.approx(0.7)
    taken = line.take().items
    assert line.waiting_s("interactive") == 0.0
    assert line.running_s == pytest.approx(0.4)
    line.leave([*bulk, *bulk, *taken])
    assert line.waiting_s() == 0.0
    line.finished(taken[:1])
    assert line.running_s == pytest.approx(0.2)
    line.finished(taken[1:])
    assert line.running_s == 0.0
    enters(line, clock, [6, 7, 8], "bulk", share_s=0.1)
    line.finished(line.take_all())
    assert (line.waiting_s(), line.running_s, line.idle) == (0.0, 0.0, True)


async def test_errors_of_rounding_do_not_add_up(line: Line[int], clock: Clock) -> None:
    items = [*enters(line, clock, [1], "bulk", share_s=0.1)]
    items += enters(line, clock, [2], "bulk", share_s=0.2)
    items += enters(line, clock, [3], "bulk", share_s=0.3)
    assert line.take().items == items
    for item in items:
        line.finished([item])
    assert line.running_s == 0.0

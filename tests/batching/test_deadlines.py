"""Clients that leave and deadlines that pass: nobody is kept waiting, nothing is run in vain."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.line import Line
from service.batching.policy import BatchPolicy
from service.batching.queueing import Claim, QueuedItem, Submission
from service.errors import DeadlineExceeded, Overloaded
from tests.batching.doubles import Clock, GatedRunner, Recorder, SteppedLoop, turn

MakeBatcher = Callable[..., Batcher[int, Any]]

pytestmark = pytest.mark.anyio

FAR = 1e6


async def test_an_expired_item_is_answered_while_the_model_is_still_busy(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher()
    blocker = asyncio.create_task(batcher.submit(0, deadline=FAR))
    await runner.entered()
    late = asyncio.create_task(batcher.submit(1, deadline=clock() + 2.0))
    in_time = asyncio.create_task(batcher.submit(2, deadline=clock() + 3.0))
    await turn()
    clock.advance(1.9)
    await turn()
    assert not late.done()
    clock.advance(0.2)
    with pytest.raises(DeadlineExceeded):
        await late
    assert batcher.depth == 1
    runner.open()
    assert [await blocker, await in_time] == [0, 20]
    assert runner.batches == [[0], [2]]
    assert observer.ended == {"ok": 2, "expired": 1}


async def test_a_deadline_also_passes_while_the_item_itself_runs(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher()
    task = asyncio.create_task(batcher.submit(1, deadline=clock() + 2.0))
    await runner.entered()
    clock.advance(2.0)
    with pytest.raises(DeadlineExceeded):
        await task
    runner.open()
    await batcher.drain()  # the late answer comes, and finds nobody
    assert observer.ended == {"expired": 1}


async def test_an_item_that_arrives_too_late_never_waits(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    with pytest.raises(DeadlineExceeded):
        await make_batcher().submit_many([1, 2], deadline=clock())
    assert runner.batches == []
    assert observer.ended == {"expired": 2}


async def test_all_parts_of_a_request_expire_together(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_batch_size=2)
    task = asyncio.create_task(batcher.submit_each([1, 2, 3, 4], deadline=clock() + 2.0))
    await runner.entered()
    runner.let_through()
    await runner.entered()  # 1 and 2 have their answers, or are about to
    await turn()
    clock.advance(2.0)
    with pytest.raises(DeadlineExceeded):
        await task
    runner.open()
    await batcher.drain()
    assert observer.ended == {"ok": 2, "expired": 2}


async def test_a_worker_that_is_ahead_of_the_event_loop_skips_late_items(clock: Clock) -> None:
    line = Line[str](BatchPolicy(max_batch_size=2, max_queue_size=9), clock)
    for part, deadline_s in (("late", 1.0), ("a", FAR), ("late", 1.0), ("b", FAR), ("c", FAR)):
        line.enter([item_of(part, clock() + deadline_s)])
    clock.advance(1.0)
    assert [item.part for item in line.take().items] == ["a", "b"]
    assert [item.part for item in line.take().items] == ["c"]
    assert len(line) == 0


async def test_a_line_is_not_idle_while_something_waits_or_runs(clock: Clock) -> None:
    line = Line[str](BatchPolicy(max_batch_size=2, max_queue_size=9), clock)
    states = [line.idle]
    line.enter([item_of("a", FAR)])
    states.append(line.idle)
    taken = line.take()
    states.append(line.idle)
    line.finished(taken.items)
    assert [*states, line.idle] == [True, False, False, True]


async def test_an_ended_request_leaves_no_timer_behind(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    batcher = make_batcher()
    task = asyncio.create_task(batcher.submit(1, deadline=FAR))
    left = asyncio.create_task(batcher.submit(2, deadline=FAR))
    await runner.entered()
    left.cancel()
    runner.open()
    await task
    assert [timer.cancelled() for timer in loop.timers] == [True, True]


def item_of(part: str, deadline_s: float) -> QueuedItem[str]:
    future = asyncio.get_running_loop().create_future()
    submission = Submission[str](future, deadline_s, False, [None], 1)
    return QueuedItem(part, 1, 0.0, [Claim(submission, 0)])


async def test_clients_that_leave_while_queued_are_not_computed(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_queue_size=200)
    blocker = asyncio.create_task(batcher.submit(0, deadline=FAR))
    await runner.entered()
    leaving = [asyncio.create_task(batcher.submit(part, deadline=FAR)) for part in range(1, 201)]
    await turn()
    with pytest.raises(Overloaded):
        await batcher.submit(201, deadline=FAR)
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    assert all(task.cancelled() for task in leaving)
    assert batcher.depth == 0
    staying = asyncio.create_task(batcher.submit(202, deadline=FAR))  # there is room again
    await turn()
    runner.open()
    assert [await blocker, await staying] == [0, 2020]
    assert runner.batches == [[0], [202]]
    assert observer.ended == {"ok": 2, "cancelled": 200, "shed": 1}


async def test_a_client_that_leaves_during_its_batch_costs_its_neighbours_nothing(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher()
    blocker = asyncio.create_task(batcher.submit(0, deadline=FAR))
    await runner.entered()
    tasks = [asyncio.create_task(batcher.submit(part, deadline=FAR)) for part in (1, 2, 3)]
    await turn()
    runner.let_through()
    await runner.entered()
    tasks[1].cancel()
    await turn()
    runner.open()
    assert [await blocker, await tasks[0], await tasks[2]] == [0, 10, 30]
    await batcher.drain()
    assert observer.ended == {"ok": 3, "cancelled": 1}


async def test_a_client_that_leaves_takes_all_its_waiting_parts_along(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_batch_size=2)
    task = asyncio.create_task(batcher.submit_many([1, 2, 3, 4, 5], deadline=FAR))
    await runner.entered()
    task.cancel()
    await turn()
    assert batcher.depth == 0
    runner.open()
    await batcher.drain()
    assert runner.batches == [[1, 2]]
    assert observer.ended == {"cancelled": 5}


async def test_drain_does_not_wait_for_clients_that_left(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_batch_size=1)
    blocker = asyncio.create_task(batcher.submit(0, deadline=FAR))
    await runner.entered()
    waiting = asyncio.create_task(batcher.submit(1, deadline=FAR))
    await turn()
    drained = asyncio.create_task(batcher.drain())
    await turn()
    waiting.cancel()
    runner.let_through()
    await asyncio.gather(blocker, drained)
    assert runner.batches == [[0]]


async def test_an_answer_that_comes_with_the_goodbye_is_counted_once(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher()
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(batcher.submit(1, deadline=FAR))
    await runner.entered()

    def leave(parts: list[int]) -> None:
        loop.call_soon_threadsafe(task.cancel)

    runner.before_answer = leave
    runner.open()
    await batcher.drain()
    await asyncio.gather(task, return_exceptions=True)
    assert sum(observer.ended.values()) == 1

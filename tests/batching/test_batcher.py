"""When items run, with whom, and in which order the answers come back."""

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.checkout import Checkout
from service.batching.policy import BatchPolicy
from service.errors import NotReady, Overloaded
from tests.batching.doubles import Clock, GatedRunner, Recorder, SteppedLoop, turn

MakeBatcher = Callable[..., Batcher[int, Any]]

pytestmark = pytest.mark.anyio

FAR = 1e6


async def submit_while_busy(
    batcher: Batcher[int, Any], runner: GatedRunner, *parts: int
) -> list[asyncio.Task[Any]]:
    """Keep the one worker busy with part 0, then submit `parts`; they wait."""
    tasks = [asyncio.create_task(batcher.submit(0, deadline=FAR))]
    await runner.entered()
    tasks += [asyncio.create_task(batcher.submit(part, deadline=FAR)) for part in parts]
    await turn()
    return tasks


async def test_an_item_that_comes_alone_runs_at_once(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    runner.open()
    assert await make_batcher().submit(7, deadline=FAR) == 70
    assert runner.batches == [[7]]


async def test_items_that_arrive_during_a_batch_form_the_next_one(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher()
    tasks = await submit_while_busy(batcher, runner, 1, 2, 3)
    assert batcher.depth == 3
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 20, 30]
    assert runner.batches == [[0], [1, 2, 3]]
    assert batcher.depth == 0


async def test_a_batch_never_has_more_items_than_allowed(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_batch_size=2)
    tasks = await submit_while_busy(batcher, runner, 1, 2, 3, 4, 5)
    runner.open()
    await asyncio.gather(*tasks)
    assert runner.batches == [[0], [1, 2], [3, 4], [5]]


async def test_a_second_worker_runs_its_batch_beside_the_first(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(workers=2)
    first = asyncio.create_task(batcher.submit(1, deadline=FAR))
    await runner.entered()
    second = asyncio.create_task(batcher.submit(2, deadline=FAR))
    await runner.entered()
    runner.open()
    assert [await first, await second] == [10, 20]


async def test_what_one_worker_leaves_wakes_the_other(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(workers=2, max_batch_size=1)
    task = asyncio.create_task(batcher.submit_many([1, 2], deadline=FAR))
    await runner.entered(2)
    assert sorted(runner.batches) == [[1], [2]]
    runner.open()
    assert await task == [10, 20]


async def test_what_waits_is_shared_between_the_workers(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(workers=2)
    task = asyncio.create_task(batcher.submit_many([1, 2, 3, 4], deadline=FAR))
    await runner.entered(2)
    assert sorted(map(len, runner.batches)) == [1, 2]  # of four two, of the other two one
    runner.open()
    assert await task == [10, 20, 30, 40]


async def test_items_of_like_cost_share_a_batch(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_batch_size=2, look_ahead=8)
    blocker = asyncio.create_task(batcher.submit(0, deadline=FAR))
    await runner.entered()
    many = asyncio.create_task(
        batcher.submit_many([1, 2, 3, 4], costs=[10, 500, 12, 480], deadline=FAR)
    )
    await turn()
    runner.open()
    assert await many == [10, 20, 30, 40]
    await blocker
    assert runner.batches == [[0], [1, 3], [2, 4]]


async def test_a_partial_batch_waits_for_company_as_long_as_the_delay(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    class WatchedPolicy(BatchPolicy):
        def seconds_to_wait(self, *, waiting: int, oldest_age_s: float) -> float:
            seconds = super().seconds_to_wait(waiting=waiting, oldest_age_s=oldest_age_s)
            if seconds:
                loop.call_soon_threadsafe(asked.set)
            return seconds

    runner.open()
    policy = WatchedPolicy(max_batch_size=3, max_queue_size=9, max_queue_delay_s=1 / 64)
    batcher = make_batcher(policy)
    first = asyncio.create_task(batcher.submit(1, deadline=FAR))
    await asked.wait()
    second = asyncio.create_task(batcher.submit(2, deadline=FAR))
    await turn()
    assert runner.batches == []
    clock.advance(1 / 64)
    assert [await first, await second] == [10, 20]
    assert runner.batches == [[1, 2]]
    # A full batch does not wait.
    assert await batcher.submit_many([3, 4, 5], deadline=FAR) == [30, 40, 50]


async def test_answers_come_back_with_one_call_a_batch(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    batcher = make_batcher()
    tasks = await submit_while_busy(batcher, runner, 1, 2, 3, 4, 5)
    runner.open()
    await asyncio.gather(*tasks)
    assert sum(isinstance(owner, Checkout) for owner in loop.calls_from_threads) == 2


async def test_a_full_queue_refuses_exactly_those_that_do_not_fit(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_queue_size=8)
    tasks = await submit_while_busy(batcher, runner, *range(1, 11))
    assert batcher.depth == 8
    runner.open()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Overloaded)]
    assert len(refused) == 2
    assert refused == answers[-2:]
    assert observer.ended == {"ok": 9, "shed": 2}


async def test_parts_of_one_request_are_admitted_all_or_none(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_queue_size=4)
    tasks = await submit_while_busy(batcher, runner, 1, 2, 3)
    with pytest.raises(Overloaded):
        await batcher.submit_many([4, 5], deadline=FAR)
    assert batcher.depth == 3
    assert observer.ended == {"shed": 2}
    tasks.pop().cancel()
    await turn()
    tasks.append(asyncio.create_task(batcher.submit_many([4, 5], deadline=FAR)))
    await turn()
    assert batcher.depth == 4
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 20, [40, 50]]


async def test_no_parts_need_no_model(make_batcher: MakeBatcher, runner: GatedRunner) -> None:
    assert await make_batcher().submit_many([], deadline=FAR) == []
    assert runner.batches == []


async def test_who_is_refused_learns_when_there_will_be_room(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_batch_size=2, max_queue_size=6)
    runner.before_answer = lambda parts: clock.advance(4.0)
    runner.let_through()
    await batcher.submit_many([1, 2], deadline=FAR)  # 2 s an item
    await runner.entered()
    tasks = await submit_while_busy(batcher, runner, *range(1, 7))
    with pytest.raises(Overloaded, match="try again in 12 s") as refusal:
        await batcher.submit(9, deadline=FAR)
    assert refusal.value.retry_after_s == pytest.approx(12.0)
    runner.open()
    await asyncio.gather(*tasks)


async def test_two_workers_make_room_twice_as_fast(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(workers=2, max_batch_size=1, max_queue_size=6)
    runner.before_answer = lambda parts: clock.advance(4.0)
    runner.let_through()
    await batcher.submit(1, deadline=FAR)
    await runner.entered()
    running = [asyncio.create_task(batcher.submit(part, deadline=FAR)) for part in (2, 3)]
    await runner.entered(2)
    waiting = asyncio.create_task(batcher.submit_many([4, 5, 6, 7, 8, 9], deadline=FAR))
    await turn()
    with pytest.raises(Overloaded) as refusal:
        await batcher.submit(10, deadline=FAR)
    assert refusal.value.retry_after_s == pytest.approx(12.0)
    runner.open()
    await asyncio.gather(*running, waiting)


async def test_before_anything_was_measured_a_second_is_advised(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_queue_size=1)
    tasks = await submit_while_busy(batcher, runner, 1)
    with pytest.raises(Overloaded) as refusal:
        await batcher.submit(2, deadline=FAR)
    assert refusal.value.retry_after_s == 1.0
    runner.open()
    await asyncio.gather(*tasks)


async def test_drain_finishes_what_waits_and_accepts_nothing_new(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_batch_size=2)
    runner.let_through()
    await batcher.submit(9, deadline=FAR)  # it was idle once; that does not count
    await runner.entered()
    tasks = await submit_while_busy(batcher, runner, 1, 2, 3)
    drained = asyncio.create_task(batcher.drain())
    await turn()
    with pytest.raises(NotReady):
        await batcher.submit(4, deadline=FAR)
    assert not drained.done()
    runner.let_through(2)
    await tasks[2]
    await turn()
    assert not drained.done(), "one batch is still to run"
    runner.open()
    await drained
    assert all(task.done() for task in tasks)
    assert await asyncio.gather(*tasks) == [0, 10, 20, 30]
    assert observer.ended == {"ok": 5, "shed": 1}


async def test_drain_does_not_delay_a_partial_batch(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    runner.open()
    batcher = make_batcher(max_queue_delay_s=3600.0)
    task = asyncio.create_task(batcher.submit(1, deadline=FAR))
    await turn()
    await batcher.drain()
    assert await task == 10


async def test_an_idle_batcher_drains_at_once(make_batcher: MakeBatcher) -> None:
    await make_batcher().drain()


async def test_close_answers_those_that_still_wait(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher()
    blocker, *waiting = await submit_while_busy(batcher, runner, 1, 2)
    batcher.close()
    assert batcher.join(timeout_s=0.0) is False, "a batch still runs"
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [NotReady, NotReady]
    runner.open()
    assert await blocker == 0
    assert await asyncio.to_thread(batcher.join, 5.0) is True
    assert batcher.workers_alive == 0
    assert runner.batches == [[0]]
    assert observer.ended == {"ok": 1, "shed": 2}


async def test_close_answers_all_parts_of_all_requests(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher()
    (blocker,) = await submit_while_busy(batcher, runner)
    many = asyncio.create_task(batcher.submit_many([1, 2], deadline=FAR))
    one = asyncio.create_task(batcher.submit(3, deadline=FAR))
    await turn()
    batcher.close()
    batcher.close()  # has no further effect
    answers = await asyncio.gather(many, one, return_exceptions=True)
    assert [type(answer) for answer in answers] == [NotReady, NotReady]
    with pytest.raises(NotReady):
        await batcher.submit(4, deadline=FAR)
    runner.open()
    assert await blocker == 0
    assert batcher.outcomes == observer.ended == {"ok": 1, "shed": 4}


async def test_the_observer_hears_sizes_and_waits_and_may_ask_for_the_depth(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_queue_size=50)
    tasks = await submit_while_busy(batcher, runner, 1)
    clock.advance(1.0)
    tasks.append(asyncio.create_task(batcher.submit(2, deadline=FAR)))
    await turn()
    clock.advance(0.5)
    (depth,) = observer.depths
    assert depth() == 2
    assert observer.limits == [50]
    runner.open()
    await asyncio.gather(*tasks)
    assert observer.sizes == [1, 2]
    assert observer.waits_s == pytest.approx([0.0, 1.5, 0.5])
    assert depth() == 0
    batcher.close()
    assert observer.depths == []


async def test_a_part_is_let_go_once_it_is_answered() -> None:
    class Part:
        pass

    batcher = Batcher[Part, str](
        lambda parts: ["seen" for _ in parts], BatchPolicy(max_batch_size=4, max_queue_size=4)
    )
    parts = [Part(), Part()]
    traces = [weakref.ref(part) for part in parts]
    loop = asyncio.get_running_loop()
    await batcher.submit_many(parts, deadline=loop.time() + FAR)
    batcher.close()
    assert await asyncio.to_thread(batcher.join, 5.0)
    parts.clear()
    await turn()
    assert [trace() for trace in traces] == [None, None]


async def test_a_batcher_belongs_to_one_event_loop(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    runner.open()
    batcher = make_batcher()
    await batcher.submit(1, deadline=FAR)

    def elsewhere() -> None:
        with pytest.raises(RuntimeError, match="one event loop"):
            asyncio.run(batcher.submit(2, deadline=FAR))

    await asyncio.to_thread(elsewhere)

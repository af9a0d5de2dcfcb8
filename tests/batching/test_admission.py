"""Who is turned away at the door, and when to come back, in predicted seconds."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.cost import Parts
from service.batching.policy import BatchPolicy
from service.batching.surroundings import Surroundings
from service.errors import Overloaded
from tests.batching.doubles import Clock, GatedRunner, Recorder, turn
from tests.batching.known import A_SECOND_EACH, FAR, ONE_BY_ONE, Known, busy, submitted

MakeBatcher = Callable[..., Batcher[int, Any]]

pytestmark = pytest.mark.anyio

POLICY = BatchPolicy(max_batch_size=1, max_queue_size=100, max_queue_s=10.0)


async def test_who_cannot_be_answered_in_time_is_refused_at_the_door(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    tasks = await busy(batcher, runner, 1)
    # One runs, one waits, and its own second: three.
    with pytest.raises(Overloaded, match=r"about 3 s and is wanted within 2\.9 s"):
        await batcher.submit(2, deadline=clock() + 2.9)
    assert batcher.depth == 1
    tasks.append(submitted(batcher, 2, deadline=clock() + 3.0))
    await turn()
    assert batcher.depth == 2
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 20]
    assert observer.ended == {"ok": 3, "shed": 1}


async def test_when_to_come_back_is_when_the_way_will_be_short_enough(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    tasks = await busy(batcher, runner, 1, 2, 3)
    with pytest.raises(Overloaded, match="try again in 3 s") as refusal:
        await batcher.submit(4, deadline=clock() + 2.0)
    assert refusal.value.retry_after_s == 3.0
    runner.open()
    await asyncio.gather(*tasks)


async def test_with_nothing_in_work_nobody_is_refused_whatever_is_predicted(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    runner.open()
    batcher = make_batcher(max_batch_size=1, latency=Known(Parts(fixed_s=1e3)), max_queue_s=0.1)
    assert await batcher.submit(1, deadline=clock() + 1.0) == 10
    assert await batcher.submit_many([2, 3], deadline=clock() + 1.0) == [20, 30]


async def test_what_runs_counts_like_what_waits(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    tasks = await busy(batcher, runner)
    with pytest.raises(Overloaded):
        await batcher.submit(1, deadline=clock() + 1.5)
    runner.open()
    await asyncio.gather(*tasks)
    await batcher.drain()


async def test_what_was_answered_counts_no_more(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    tasks = await busy(batcher, runner, 1)
    runner.let_through()
    await runner.entered()
    await turn()
    tasks.append(submitted(batcher, 2, deadline=clock() + 2.0))
    await turn()
    assert batcher.depth == 1
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 20]


async def test_before_enough_was_measured_nobody_is_refused_for_a_guess(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    class Guess(Known):
        trusted = False

    batcher = make_batcher(max_batch_size=1, latency=Guess(A_SECOND_EACH))
    tasks = await busy(batcher, runner, 1)
    tasks.append(submitted(batcher, 2, deadline=clock() + 0.5))
    await turn()
    assert batcher.depth == 2
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 20]


async def test_a_queue_is_bounded_in_predicted_seconds(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    latency = Known(Parts(step_s=1.0))  # a second a token
    batcher = make_batcher(max_batch_size=1, max_queue_s=6.0, latency=latency)
    tasks = await busy(batcher, runner)
    tasks.append(submitted(batcher, 1, cost=5))  # 1 s runs, 5 s wait
    tasks.append(submitted(batcher, 2, cost=3))  # still one more, since 6 s may
    await turn()
    assert batcher.depth == 2
    with pytest.raises(Overloaded, match="9 s waits already and 6 s may") as refusal:
        await batcher.submit(3, deadline=FAR)
    assert refusal.value.retry_after_s == 3.0
    runner.open()
    await asyncio.gather(*tasks)
    assert observer.ended == {"ok": 3, "shed": 1}


async def test_workers_share_what_waits(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(workers=2, **ONE_BY_ONE)
    tasks = [submitted(batcher, part) for part in (1, 2)]
    await runner.entered(2)
    tasks += [submitted(batcher, part) for part in (3, 4)]
    await turn()
    # Two run and two wait for two workers: 1 s and 1 s, and its own.
    with pytest.raises(Overloaded):
        await batcher.submit(5, deadline=clock() + 2.9)
    tasks.append(submitted(batcher, 5, deadline=clock() + 3.0))
    await turn()
    assert batcher.queue_s == 1.5
    runner.open()
    assert await asyncio.gather(*tasks) == [10, 20, 30, 40, 50]


async def test_bulk_that_waits_does_not_count_for_who_passes_it(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    tasks = await busy(batcher, runner)
    tasks += [submitted(batcher, part, priority="bulk") for part in (1, 2, 3)]
    await turn()
    with pytest.raises(Overloaded):
        await batcher.submit(4, deadline=clock() + 2.0, priority="bulk")
    tasks.append(submitted(batcher, 4, deadline=clock() + 2.0))
    await turn()
    assert batcher.depth == 4
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 20, 30, 40]


async def test_a_request_is_as_late_as_all_its_parts_and_is_refused_whole(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    tasks = await busy(batcher, runner)
    with pytest.raises(Overloaded, match="about 4 s"):
        await batcher.submit_many([1, 2, 3], deadline=clock() + 3.5)
    assert batcher.depth == 0
    assert observer.ended == {"shed": 3}
    many = asyncio.create_task(batcher.submit_many([1, 2, 3], deadline=clock() + 4.0))
    await turn()
    assert batcher.depth == 3
    runner.open()
    assert await many == [10, 20, 30]
    await asyncio.gather(*tasks)


async def test_the_longest_part_says_how_long_a_request_stays(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    latency = Known(Parts(step_s=1.0))
    batcher = make_batcher(max_batch_size=8, latency=latency)
    tasks = await busy(batcher, runner)
    # An eighth of a second runs still; the batch with the part of 5 tokens will run 5 s.
    with pytest.raises(Overloaded, match=r"about 5\.1 s"):
        await batcher.submit_many([1, 2], costs=[1, 5], deadline=clock() + 5.0)
    runner.open()
    await asyncio.gather(*tasks)


async def test_a_newcomer_stays_as_long_as_the_batch_that_may_form_runs(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    latency = Known(Parts(row_s=1.0))
    batcher = make_batcher(workers=2, max_batch_size=12, latency=latency)
    tasks = await busy(batcher, runner)
    # Half a second of what runs for each worker, and a batch of half of eight.
    with pytest.raises(Overloaded, match=r"about 4\.5 s"):
        await batcher.submit(1, deadline=clock() + 4.4)
    tasks.append(submitted(batcher, 1, deadline=clock() + 4.5))
    await runner.entered()
    tasks.append(submitted(batcher, 2))
    await turn()
    # Both run (1 s each), one waits (half a second each), and half of sixteen may run then.
    with pytest.raises(Overloaded, match=r"about 9\.5 s"):
        await batcher.submit(5, deadline=clock() + 9.4)
    # Its batch is one of twelve, however many wait.
    tasks += [submitted(batcher, part) for part in (3, 4, 6)]
    await turn()
    with pytest.raises(Overloaded, match="about 15 s"):
        await batcher.submit(5, deadline=clock() + 14.9)
    runner.open()
    assert await asyncio.gather(*tasks) == [0, *(10 * n for n in (1, 2, 3, 4, 6))]


async def test_who_is_refused_is_told_a_time_with_jitter(clock: Clock, runner: GatedRunner) -> None:
    batcher = Batcher[int, Any](
        runner,
        POLICY,
        clock=clock,
        surroundings=Surroundings(latency=Known(A_SECOND_EACH), chance=lambda: 1.0),
    )
    tasks = await busy(batcher, runner, 1, 2, 3)
    with pytest.raises(Overloaded) as refusal:
        await batcher.submit(4, deadline=clock() + 1.0)
    assert refusal.value.retry_after_s == 4.0 + 1.0
    runner.open()
    await asyncio.gather(*tasks)
    batcher.close()
    assert await asyncio.to_thread(batcher.join, 5.0)


async def test_the_predicted_seconds_go_up_and_exactly_back_to_zero(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_batch_size=1, latency=Known(Parts(row_s=0.1)), workers=1)
    (seconds,) = observer.queue_s
    assert seconds() == 0.0
    first = await busy(batcher, runner)
    assert seconds() == 0.0, "what runs waits no more"
    waiting = [submitted(batcher, part) for part in range(1, 4)]
    waiting += [submitted(batcher, part, priority="bulk") for part in range(4, 8)]
    await turn()
    assert seconds() == batcher.queue_s == pytest.approx(0.7)
    waiting[0].cancel()
    await turn()
    assert seconds() == pytest.approx(0.6)
    runner.open()
    await asyncio.gather(*first, *waiting, return_exceptions=True)
    assert seconds() == 0.0
    # Were a trace of the running left, the next would be refused for it.
    assert await batcher.submit(9, deadline=FAR) == 90


async def test_each_batch_tells_what_was_predicted_and_what_it_took(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    runner.before_answer = lambda parts: clock.advance(2.0)
    runner.open()
    batcher = make_batcher(latency=Known(Parts(row_s=1.0, step_s=0.5)))
    await batcher.submit_many([1, 2, 3], costs=[1, 4, 2], deadline=FAR)
    assert observer.predictions == [(3 * 1.0 + 4 * 0.5, 2.0)]


async def test_a_batcher_learns_from_its_batches_but_not_from_those_with_errors(
    clock: Clock, make_batcher: MakeBatcher, observer: Recorder
) -> None:
    def run(parts: list[int]) -> list[Any]:
        clock.advance(0.5 * len(parts))
        return [ValueError("no") if part == 13 else part for part in parts]

    batcher = make_batcher(run=run)
    assert batcher.latency.batches == 0
    for parts in ([1], [1, 13], [1, 2], [1, 2, 3]):
        await batcher.submit_each(parts, deadline=FAR)
    assert batcher.latency.batches == 3
    assert batcher.latency.seconds(8, 1) == pytest.approx(4.0)
    assert observer.predictions == []
    await batcher.submit(1, deadline=FAR)
    (predicted,) = observer.predictions
    assert predicted == pytest.approx((0.5, 0.5))

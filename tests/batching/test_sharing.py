"""Work that is not done twice: who shares an item, and who leaves it."""

import asyncio
import gc
from collections.abc import Iterator
from typing import Any
from weakref import ref

import pytest

from service.batching.batcher import Batcher
from service.batching.line import Line
from service.batching.policy import BatchPolicy
from service.batching.queueing import Claim, QueuedItem, Submission
from service.batching.sharing import Sharing
from service.errors import DeadlineExceeded, InferenceFailed, Overloaded
from tests.batching.asking import FAR, MakeBatcher, busy, submitted
from tests.batching.doubles import Clock, GatedRunner, Recorder, turn

pytestmark = pytest.mark.anyio


class Key:
    """Equal for equal parts; unlike a number it can be traced."""

    def __init__(self, part: int) -> None:
        self.part = part

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other.part == self.part

    def __hash__(self) -> int:
        return hash(self.part)


@pytest.fixture(autouse=True)
def keys() -> Iterator[list[ref[Key]]]:
    """Every key that was made: after the test none is remembered anywhere."""
    made: list[ref[Key]] = []
    yield made
    if any(key() is not None for key in made):
        gc.collect()
    assert [key() for key in made] == [None] * len(made), "an item is in flight for ever"


@pytest.fixture
def sharing(keys: list[ref[Key]]) -> Sharing[int]:
    def key_of(part: int) -> Key:
        keys.append(ref(key := Key(part)))
        return key

    return Sharing(key_of)


@pytest.fixture
def batcher(make_batcher: MakeBatcher, sharing: Sharing[int]) -> Batcher[int, Any]:
    return make_batcher(sharing=sharing)


async def test_identical_items_that_wait_run_once(
    batcher: Batcher[int, Any], runner: GatedRunner, observer: Recorder
) -> None:
    tasks = await busy(batcher, runner)
    tasks += submitted(batcher, 1, 1, 2, 1)
    await turn()
    assert batcher.depth == 2
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 10, 20, 10]
    assert runner.batches == [[0], [1, 2]]
    assert observer.look_ups == {"miss": 3, "shared": 2}
    assert observer.ended == {"ok": 5}


async def test_an_item_that_runs_already_can_be_shared_too(
    batcher: Batcher[int, Any], runner: GatedRunner, observer: Recorder
) -> None:
    tasks = await busy(batcher, runner)
    tasks += submitted(batcher, 0)
    await turn()
    assert batcher.depth == 0
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 0]
    assert runner.batches == [[0]]
    assert observer.ended == {"ok": 2}


async def test_one_request_may_hold_the_same_item_twice(
    batcher: Batcher[int, Any], runner: GatedRunner, observer: Recorder
) -> None:
    runner.open()
    assert await batcher.submit_many([1, 2, 1, 1], deadline=FAR) == [10, 20, 10, 10]
    assert runner.batches == [[1, 2]]
    assert observer.ended == {"ok": 4}


async def test_what_was_answered_is_run_anew_where_no_answers_are_kept(
    batcher: Batcher[int, Any], runner: GatedRunner
) -> None:
    runner.open()
    assert [await batcher.submit(1, deadline=FAR) for _ in range(2)] == [10, 10]
    assert runner.batches == [[1], [1]]


async def test_parts_without_a_key_share_nothing(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    nothing: Sharing[int] = Sharing(lambda part: None)
    batcher = make_batcher(sharing=nothing)
    tasks = await busy(batcher, runner)
    tasks += submitted(batcher, 1, 1)
    await turn()
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 10]
    assert runner.batches == [[0], [1, 1]]
    assert observer.look_ups == {}


async def test_an_item_goes_on_for_the_one_who_stays(
    batcher: Batcher[int, Any], runner: GatedRunner, observer: Recorder
) -> None:
    tasks = await busy(batcher, runner)
    leaves, stays = submitted(batcher, 1, 1)
    await turn()
    leaves.cancel()
    await turn()
    assert batcher.depth == 1
    runner.open()
    assert await asyncio.gather(*tasks, stays) == [0, 10]
    assert observer.ended == {"ok": 2, "cancelled": 1}


async def test_an_item_that_all_have_left_is_withdrawn(
    batcher: Batcher[int, Any], runner: GatedRunner, observer: Recorder
) -> None:
    tasks = await busy(batcher, runner)
    leaving = submitted(batcher, 1, 1)
    await turn()
    for task in leaving:
        task.cancel()
    await turn()
    assert batcher.depth == 0
    again = submitted(batcher, 1)
    await turn()
    assert batcher.depth == 1, "nobody joins what was withdrawn"
    runner.open()
    assert await asyncio.gather(*tasks, *again) == [0, 10]
    assert observer.ended == {"ok": 2, "cancelled": 2}


async def test_a_request_that_holds_an_item_twice_withdraws_it_once(
    batcher: Batcher[int, Any], runner: GatedRunner, observer: Recorder
) -> None:
    tasks = await busy(batcher, runner)
    twice = asyncio.create_task(batcher.submit_many([1, 1], deadline=FAR))
    await turn()
    twice.cancel()
    await turn()
    assert batcher.depth == 0
    runner.open()
    await asyncio.gather(*tasks)
    assert observer.ended == {"ok": 1, "cancelled": 2}


async def test_who_came_later_with_more_time_is_answered_after_the_first_expired(
    clock: Clock, batcher: Batcher[int, Any], runner: GatedRunner, observer: Recorder
) -> None:
    tasks = await busy(batcher, runner)
    (first,) = submitted(batcher, 1, deadline=clock() + 1.0)
    (later,) = submitted(batcher, 1, deadline=clock() + 3.0)
    await turn()
    clock.advance(2.0)
    with pytest.raises(DeadlineExceeded):
        await first
    assert batcher.depth == 1
    runner.open()
    assert await asyncio.gather(*tasks, later) == [0, 10]
    assert observer.ended == {"ok": 2, "expired": 1}


async def test_an_error_reaches_all_who_share_and_is_no_answer_for_others(
    make_batcher: MakeBatcher, sharing: Sharing[int], observer: Recorder
) -> None:
    runner = GatedRunner(lambda part: ValueError("secret") if part == 13 else part)
    batcher = make_batcher(run=runner, sharing=sharing)
    tasks = submitted(batcher, 13)
    await runner.entered()
    tasks += submitted(batcher, 13)
    await turn()
    runner.open()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [InferenceFailed] * 2
    assert observer.ended == {"failed": 2}


async def test_an_interactive_item_does_not_wait_with_the_bulk(
    make_batcher: MakeBatcher, sharing: Sharing[int], runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_batch_size=1, sharing=sharing)
    tasks = await busy(batcher, runner)
    tasks += submitted(batcher, 1, priority="bulk")
    tasks += submitted(batcher, 2, 1, 1)  # the last joins the one before
    await turn()
    assert batcher.depth == 3
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 20, 10, 10]
    assert runner.batches == [[0], [2], [1], [1]]
    assert observer.look_ups == {"miss": 4, "shared": 1}


async def test_bulk_that_asks_the_same_as_an_interactive_item_runs_with_it(
    batcher: Batcher[int, Any], runner: GatedRunner
) -> None:
    tasks = await busy(batcher, runner)
    tasks += submitted(batcher, 1)
    await turn()
    tasks += submitted(batcher, 1, priority="bulk")
    await turn()
    assert batcher.depth == 1
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 10]


async def test_bulk_that_leaves_does_not_take_an_equal_interactive_item_along(
    batcher: Batcher[int, Any], runner: GatedRunner, observer: Recorder
) -> None:
    tasks = await busy(batcher, runner)
    (bulk,) = submitted(batcher, 1, priority="bulk")
    await turn()
    tasks += submitted(batcher, 1)
    await turn()
    bulk.cancel()
    await turn()
    tasks += submitted(batcher, 1)
    await turn()
    assert batcher.depth == 1
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 10]
    assert observer.look_ups["shared"] == 1


async def test_joining_needs_no_room(
    make_batcher: MakeBatcher, sharing: Sharing[int], runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_queue_size=1, sharing=sharing)
    tasks = await busy(batcher, runner)
    tasks += submitted(batcher, 1, 1)
    await turn()
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 10]
    assert observer.ended == {"ok": 3}


async def test_a_refused_request_leaves_nothing_behind(
    make_batcher: MakeBatcher, sharing: Sharing[int], runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_queue_size=4, sharing=sharing)
    tasks = await busy(batcher, runner)
    waits, *others = submitted(batcher, 1, 2, 3)
    await turn()
    with pytest.raises(Overloaded):
        await batcher.submit_many([1, 5, 6, 7], deadline=FAR)
    assert batcher.depth == 3
    assert observer.ended == {"shed": 4}
    tasks += submitted(batcher, 5)  # joins no ghost
    await turn()
    assert batcher.depth == 4
    waits.cancel()  # the refused request holds it no more
    await turn()
    assert batcher.depth == 3
    runner.open()
    assert await asyncio.gather(*tasks, *others) == [0, 50, 20, 30]


async def test_what_a_worker_dropped_is_joined_by_nobody(clock: Clock) -> None:
    line = Line[int](BatchPolicy(max_batch_size=2, max_queue_size=9), clock)
    loop = asyncio.get_running_loop()

    def claim(deadline_s: float) -> Claim:
        return Claim(Submission[int](loop.create_future(), deadline_s, False, [None], 1), 0)

    late = QueuedItem(1, 1, clock(), [claim(clock() + 1.0)])
    fresh = QueuedItem(2, 1, clock(), [claim(FAR)])
    line.enter([late, fresh])
    clock.advance(1.0)
    assert line.take().items == [fresh]
    assert not line.claim(late, claim(FAR))
    assert line.claim(fresh, claim(FAR))
    assert (len(late.claims), len(fresh.claims)) == (1, 2)
    assert line.drop([fresh]) == []
    fresh.claims.clear()
    assert line.drop([fresh]) == [fresh]
    assert not line.claim(fresh, claim(FAR))

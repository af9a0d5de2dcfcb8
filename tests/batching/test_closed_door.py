"""Before a request is read: whether even the smallest one would be refused."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.cost import Parts
from service.batching.sharing import AnswerCache, Sharing
from service.errors import NotReady, Overloaded
from tests.batching.doubles import GatedRunner, Recorder, turn
from tests.batching.known import FAR, ONE_BY_ONE, Known, busy, submitted

MakeBatcher = Callable[..., Batcher[int, Any]]

pytestmark = pytest.mark.anyio


def never() -> int:
    raise AssertionError("to weigh it takes longer than to refuse it")


async def test_the_door_is_closed_when_not_even_the_smallest_item_would_be_in_time(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    assert batcher.refusal("interactive", 0.1) is None  # nobody waits: predictions must learn
    tasks = await busy(batcher, runner, 1)
    assert batcher.refusal("interactive", 3.0) is None
    refusal = batcher.refusal("interactive", 2.9)
    assert isinstance(refusal, Overloaded)
    assert "about 3 s and is wanted within 2.9 s" in refusal.detail
    runner.open()
    await asyncio.gather(*tasks)
    assert observer.ended == {"ok": 2, "shed": 1}


async def test_the_door_is_closed_for_bulk_before_it_is_for_others(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    tasks = await busy(batcher, runner)
    tasks += [submitted(batcher, 1), submitted(batcher, 2, priority="bulk")]
    await turn()
    assert batcher.refusal("interactive", 3.5) is None
    assert isinstance(batcher.refusal("bulk", 3.5), Overloaded)
    runner.open()
    await asyncio.gather(*tasks)


async def test_the_door_is_closed_when_the_queue_has_no_place(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_batch_size=1, max_queue_size=2)
    tasks = await busy(batcher, runner, 1)
    assert batcher.refusal("interactive", FAR) is None
    tasks += [submitted(batcher, 2)]
    await turn()
    refusal = batcher.refusal("interactive", FAR, never)
    assert isinstance(refusal, Overloaded)
    assert "2 items wait already and 2 may" in refusal.detail
    assert batcher.refusal("interactive", FAR, never) is refusal
    runner.open()
    await asyncio.gather(*tasks)


async def test_the_door_stays_open_where_an_answer_may_be_kept(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    cache = AnswerCache(1000, lambda key, answer: 1)
    around = {"sharing": Sharing(lambda part: part, cache)}
    batcher = make_batcher(**ONE_BY_ONE, **around)
    tasks = await busy(batcher, runner, 1, 2)
    assert batcher.refusal("interactive", 0.5) is None
    runner.open()
    await asyncio.gather(*tasks)


async def test_who_leaves_service_lets_nobody_in(make_batcher: MakeBatcher) -> None:
    batcher = make_batcher()
    await batcher.drain()
    assert isinstance(batcher.refusal("interactive", FAR), NotReady)


async def test_until_something_changes_all_who_ask_the_same_are_told_the_same(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    tasks = await busy(batcher, runner, 1, 2)
    told = batcher.refusal("interactive", 1.0)
    assert isinstance(told, Overloaded)
    assert batcher.refusal("interactive", 1.0) is told
    patient = batcher.refusal("interactive", 2.0)
    assert isinstance(patient, Overloaded)
    assert patient.detail != told.detail
    assert batcher.refusal("interactive", 9.0) is None
    assert isinstance(batcher.refusal("interactive", 2.0), Overloaded)
    tasks.append(submitted(batcher, 3))
    await turn()
    again = batcher.refusal("interactive", 2.0)
    assert again is not None
    assert again.detail != patient.detail  # one more waits
    runner.let_through(3)
    await runner.entered(3)
    await turn()
    assert batcher.refusal("interactive", 2.0) is None
    assert batcher.outcomes["shed"] == 5
    runner.open()
    await asyncio.gather(*tasks)


async def test_the_door_weighs_what_an_item_costs_at_least(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_batch_size=1, latency=Known(Parts(cell_s=1.0)))
    tasks = await busy(batcher, runner, 1)  # for a second each, the smallest of items
    assert batcher.refusal("interactive", 5.0, lambda: 3) is None
    told = batcher.refusal("interactive", 5.0, lambda: 4)
    assert isinstance(told, Overloaded)
    assert "about 6 s and is wanted within 5 s" in told.detail
    assert batcher.refusal("interactive", 5.0, lambda: 9) is told  # who costs more is told the same
    assert batcher.refusal("interactive", 5.0, lambda: 3) is None
    assert batcher.refusal("interactive", 5.0, lambda: 4) is told
    runner.open()
    await asyncio.gather(*tasks)


async def test_where_the_cheapest_would_be_refused_nothing_is_weighed(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(
        max_batch_size=1, max_queue_s=1.5, latency=Known(Parts(cell_s=1.0)), max_queue_size=5
    )
    tasks = await busy(batcher, runner, 1)  # 2 s of work
    told = batcher.refusal("interactive", FAR, never)
    assert isinstance(told, Overloaded)
    assert "Work for 2 s waits already and 1.5 s may" in told.detail
    assert batcher.refusal("interactive", FAR, never) is told
    runner.open()
    await asyncio.gather(*tasks)
    await batcher.drain()
    assert isinstance(batcher.refusal("interactive", FAR, never), NotReady)


async def test_a_refusal_stands_for_all_until_the_line_is_another(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_batch_size=1, max_queue_size=1)
    tasks = await busy(batcher, runner, 1)
    told = batcher.refusal("interactive", FAR, never)
    assert told is not None
    assert batcher.refuses_again(told)
    assert not batcher.refuses_again(Overloaded("Another one.", 1.0))
    assert batcher.outcomes["shed"] == 2
    runner.let_through()
    await runner.entered()
    await turn()
    assert not batcher.refuses_again(told)
    assert batcher.outcomes["shed"] == 2
    runner.open()
    await asyncio.gather(*tasks)


async def test_a_refusal_for_what_an_item_costs_stands_for_nobody_else(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_batch_size=1, latency=Known(Parts(cell_s=1.0)))
    tasks = await busy(batcher, runner, 1)
    told = batcher.refusal("interactive", 5.0, lambda: 4)
    assert told is not None
    assert not batcher.refuses_again(told)
    assert batcher.outcomes["shed"] == 1
    runner.open()
    await asyncio.gather(*tasks)


async def test_who_was_told_of_a_full_line_is_told_when_the_model_goes(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    tasks = await busy(batcher, runner, 1)
    assert isinstance(batcher.refusal("interactive", 1.0), Overloaded)
    draining = asyncio.create_task(batcher.drain())
    await turn()
    assert isinstance(batcher.refusal("interactive", 1.0), NotReady)
    runner.open()
    await asyncio.gather(*tasks, draining)

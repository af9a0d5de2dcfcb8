"""Answers that are kept: who has one of them, and which are none."""

import asyncio
from typing import Any

import pytest

from service.batching.sharing import AnswerCache, Sharing
from service.errors import InvalidInput, Overloaded
from tests.batching.asking import FAR, MakeBatcher, busy, submitted
from tests.batching.doubles import GatedRunner, Recorder, turn

pytestmark = pytest.mark.anyio


@pytest.fixture
def cached() -> Sharing[int]:
    return Sharing(lambda part: part, AnswerCache(100, lambda key, answer: 1))


async def test_an_answer_that_is_kept_is_not_computed_again(
    make_batcher: MakeBatcher, cached: Sharing[int], runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(sharing=cached)
    runner.open()
    assert [await batcher.submit(1, deadline=FAR) for _ in range(3)] == [10, 10, 10]
    assert await batcher.submit_many([2, 1], deadline=FAR) == [20, 10]
    assert runner.batches == [[1], [2]]
    assert observer.look_ups == {"miss": 2, "hit": 3}
    assert batcher.outcomes == observer.ended == {"ok": 5}


async def test_a_kept_answer_needs_no_room(
    make_batcher: MakeBatcher, cached: Sharing[int], runner: GatedRunner
) -> None:
    batcher = make_batcher(max_queue_size=1, sharing=cached)
    runner.let_through()
    await batcher.submit(1, deadline=FAR)
    await runner.entered()
    tasks = await busy(batcher, runner)
    tasks += submitted(batcher, 2)
    await turn()
    assert await batcher.submit(1, deadline=FAR) == 10
    runner.open()
    await asyncio.gather(*tasks)


async def test_a_refused_request_is_shed_with_the_parts_that_had_answers(
    make_batcher: MakeBatcher, cached: Sharing[int], runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_queue_size=1, sharing=cached)
    runner.let_through()
    await batcher.submit(1, deadline=FAR)
    await runner.entered()
    tasks = await busy(batcher, runner)
    tasks += submitted(batcher, 2)
    await turn()
    with pytest.raises(Overloaded):
        await batcher.submit_many([1, 5, 1], deadline=FAR)
    assert observer.ended == {"ok": 1, "shed": 3}
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 20]
    assert observer.ended == {"ok": 3, "shed": 3}


async def test_an_error_is_never_kept(
    make_batcher: MakeBatcher, cached: Sharing[int], observer: Recorder
) -> None:
    answers: list[Any] = [InvalidInput("no"), 7]
    batcher = make_batcher(run=lambda parts: [answers.pop(0)], sharing=cached)
    with pytest.raises(InvalidInput):
        await batcher.submit(1, deadline=FAR)
    assert [await batcher.submit(1, deadline=FAR) for _ in range(2)] == [7, 7]
    assert observer.ended == {"client_error": 1, "ok": 2}


async def test_who_listens_hears_of_kept_answers_before_the_model_has_run(
    make_batcher: MakeBatcher, cached: Sharing[int], runner: GatedRunner
) -> None:
    told: list[tuple[int, Any]] = []

    def asked(*parts: int) -> asyncio.Task[list[Any]]:
        hears = batcher.submit_each(
            parts, deadline=FAR, on_progress=lambda place, known: told.append((place, known))
        )
        return asyncio.create_task(hears)

    batcher = make_batcher(max_queue_size=2, sharing=cached)
    runner.let_through()
    await batcher.submit_many([1, 2], deadline=FAR)
    await runner.entered()
    task = asked(2, 5, 1)
    await runner.entered()
    await turn()
    assert told == [(0, 20), (2, 10)]
    waiting = submitted(batcher, 6, 7)
    await turn()
    with pytest.raises(Overloaded):
        await asked(1, 8)
    assert len(told) == 2, "it was not let in"
    runner.open()
    assert await task == [20, 50, 10]
    assert told[2:] == [(1, 50)]
    assert await asked(1, 2) == [10, 20]
    assert told[3:] == [(0, 10), (1, 20)]
    await asyncio.gather(*waiting)


async def test_an_answer_that_everybody_left_is_kept_all_the_same(
    make_batcher: MakeBatcher, cached: Sharing[int], runner: GatedRunner
) -> None:
    batcher = make_batcher(sharing=cached)
    (task,) = await busy(batcher, runner)
    task.cancel()
    await turn()
    runner.let_through()
    await batcher.drain()
    assert await batcher.submit(0, deadline=FAR) == 0

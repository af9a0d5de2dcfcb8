"""A model that breaks: who gets an error, who keeps an answer, and what serves next."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.isolation import outcome_of
from service.batching.policy import BatchPolicy
from service.errors import (
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    Overloaded,
    PayloadTooLarge,
    ServiceError,
    UnsupportedMedia,
)
from tests.batching.doubles import Clock, GatedRunner, Recorder, turn

MakeBatcher = Callable[..., Batcher[int, Any]]

pytestmark = pytest.mark.anyio

FAR = 1e6
POISON = 13


class Dies(BaseException):
    """What no `except Exception` stops."""


def fail_on_poison(parts: list[int]) -> None:
    if POISON in parts:
        raise ValueError("secret detail")


async def run_together(batcher: Batcher[int, Any], runner: GatedRunner, *parts: int) -> list[Any]:
    """The answers or errors of `parts`, which share a batch behind a blocker with part 0."""
    blocker = asyncio.create_task(batcher.submit(0, deadline=FAR))
    await runner.entered()
    tasks = [asyncio.create_task(batcher.submit(part, deadline=FAR)) for part in parts]
    await turn()
    runner.open()
    await blocker
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_poisoned_item_among_32_costs_one_error(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_batch_size=32)
    runner.before_answer = fail_on_poison
    answers = await run_together(batcher, runner, *range(1, 33))
    assert isinstance(answers.pop(POISON - 1), InferenceFailed)
    assert answers == [part * 10 for part in range(1, 33) if part != POISON]
    assert observer.ended == {"ok": 32, "failed": 1}


async def test_a_failing_batch_is_tried_item_by_item_once(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    runner.before_answer = fail_on_poison
    await run_together(make_batcher(), runner, 1, POISON, 2)
    assert runner.batches == [[0], [1, POISON, 2], [1], [POISON], [2]]


async def test_an_item_that_failed_alone_is_not_tried_again(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    runner.before_answer = fail_on_poison
    runner.open()
    with pytest.raises(InferenceFailed) as failure:
        await make_batcher().submit(POISON, deadline=FAR)
    assert runner.batches == [[POISON]]
    assert "secret" not in failure.value.detail


async def test_an_item_whose_client_left_is_not_tried_again(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher()
    runner.before_answer = fail_on_poison
    blocker = asyncio.create_task(batcher.submit(0, deadline=FAR))
    await runner.entered()
    tasks = [asyncio.create_task(batcher.submit(part, deadline=FAR)) for part in (1, POISON, 2)]
    await turn()
    runner.let_through()
    await runner.entered()
    tasks[2].cancel()
    await turn()
    runner.open()
    answers = await asyncio.gather(blocker, *tasks[:2], return_exceptions=True)
    assert answers[:2] == [0, 10]
    assert runner.batches == [[0], [1, POISON, 2], [1], [POISON]]
    assert observer.ended == {"ok": 2, "failed": 1, "cancelled": 1}


async def test_an_item_that_expired_during_the_failing_batch_is_not_tried_again(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher()
    blocker = asyncio.create_task(batcher.submit(0, deadline=FAR))
    await runner.entered()
    poison = asyncio.create_task(batcher.submit(POISON, deadline=FAR))
    late = asyncio.create_task(batcher.submit(2, deadline=clock() + 1.0))
    await turn()

    def fail_slowly(parts: list[int]) -> None:
        clock.advance(0.6)
        fail_on_poison(parts)

    runner.before_answer = fail_slowly
    runner.open()
    await asyncio.gather(blocker, poison, late, return_exceptions=True)
    assert isinstance(late.exception(), DeadlineExceeded)
    assert runner.batches == [[0], [POISON, 2], [POISON]]
    assert observer.ended == {"ok": 1, "failed": 1, "expired": 1}


async def test_an_error_among_the_answers_belongs_to_its_item_alone(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    runner_errors = {1: InvalidInput("not an image"), 2: KeyError("secret")}
    answering = GatedRunner(lambda part: runner_errors.get(part, part * 10))
    batcher = Batcher[int, Any](
        answering, BatchPolicy(max_batch_size=8, max_queue_size=8), observer=observer
    )
    loop = asyncio.get_running_loop()
    answering.open()
    answers = await batcher.submit_each([1, 2, 3], deadline=loop.time() + FAR)
    batcher.close()
    assert await asyncio.to_thread(batcher.join, 5.0)
    assert answers[0] is runner_errors[1]
    assert isinstance(answers[1], InferenceFailed)
    assert "secret" not in answers[1].detail
    assert answers[2] == 30
    assert answering.batches == [[1, 2, 3]], "nothing needs to run twice"
    assert observer.ended == {"ok": 1, "client_error": 1, "failed": 1}


async def test_the_first_error_of_a_request_withdraws_its_other_parts(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    batcher = make_batcher(max_batch_size=1)
    runner.before_answer = fail_on_poison
    runner.let_through()
    task = asyncio.create_task(batcher.submit_many([POISON, 2, 3, 4], deadline=FAR))
    with pytest.raises(InferenceFailed):
        await task
    assert batcher.depth == 0
    runner.open()
    await batcher.drain()
    assert len(runner.batches) <= 2, "at most the one that the worker had already taken"
    assert observer.ended == {"failed": 1, "cancelled": 3}


async def test_too_few_answers_are_an_error_and_never_a_mix_up(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    class Forgetful(GatedRunner):
        def __call__(self, parts: list[int]) -> list[object]:
            return super().__call__(parts)[: 2 if len(parts) > 1 else 1]

    forgetful = Forgetful()
    forgetful.open()
    batcher = Batcher[int, Any](forgetful, BatchPolicy(max_batch_size=8, max_queue_size=8))
    deadline = asyncio.get_running_loop().time() + FAR
    assert await batcher.submit_many([1, 2, 3], deadline=deadline) == [10, 20, 30]
    batcher.close()
    assert await asyncio.to_thread(batcher.join, 5.0)
    assert forgetful.batches == [[1, 2, 3], [1], [2], [3]]


async def test_a_dying_worker_answers_its_items_and_is_replaced(
    make_batcher: MakeBatcher,
    runner: GatedRunner,
    observer: Recorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    batcher = make_batcher()

    def die_on_poison(parts: list[int]) -> None:
        if POISON in parts:
            raise Dies

    runner.before_answer = die_on_poison
    answers = await run_together(batcher, runner, 1, POISON, 2)
    assert [type(answer) for answer in answers] == [InferenceFailed] * 3
    assert await batcher.submit(5, deadline=FAR) == 50
    assert batcher.workers_alive == 1
    assert observer.ended == {"ok": 2, "failed": 3}
    assert "died" in caplog.text


async def test_a_death_says_nothing_about_how_fast_the_queue_empties(
    clock: Clock, make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    batcher = make_batcher(max_queue_size=6)

    def work(parts: list[int]) -> None:
        if POISON in parts:
            raise Dies
        clock.advance(2.0 * len(parts))

    runner.before_answer = work
    runner.let_through(2)
    await batcher.submit(1, deadline=FAR)
    with pytest.raises(InferenceFailed):
        await batcher.submit(POISON, deadline=FAR)
    await runner.entered(2)
    blocker = asyncio.create_task(batcher.submit(0, deadline=FAR))
    await runner.entered()
    waiting = asyncio.create_task(batcher.submit_many([1, 2, 3, 4, 5, 6], deadline=FAR))
    await turn()
    with pytest.raises(Overloaded) as refusal:
        await batcher.submit(7, deadline=FAR)
    assert refusal.value.retry_after_s == pytest.approx(12.0)
    runner.open()
    await asyncio.gather(blocker, waiting)


async def test_a_worker_that_dies_while_choosing_leaves_nobody_waiting(
    make_batcher: MakeBatcher, runner: GatedRunner, observer: Recorder
) -> None:
    class Flawed(BatchPolicy):
        def choose(self, costs: Any, *args: Any, **kwargs: Any) -> Any:
            if POISON in costs:
                raise IndexError("flaw")
            return super().choose(costs, *args, **kwargs)

    batcher = make_batcher(Flawed(max_batch_size=8, max_queue_size=8))
    runner.open()
    with pytest.raises(InferenceFailed):
        await batcher.submit_many([1, 2], costs=[POISON, 1], deadline=FAR)
    assert await batcher.submit(5, deadline=FAR) == 50
    await batcher.drain()
    assert observer.ended == {"ok": 1, "failed": 1, "cancelled": 1}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (InvalidInput(""), "client_error"),
        (UnsupportedMedia(""), "client_error"),
        (PayloadTooLarge(""), "client_error"),
        (DeadlineExceeded(""), "expired"),
        (InferenceFailed(""), "failed"),
        (Overloaded(""), "failed"),
    ],
)
def test_an_error_of_the_client_is_not_counted_as_ours(error: ServiceError, outcome: str) -> None:
    assert outcome_of(error) == outcome

"""Continuous batching: who joins when, who leaves, and that nobody is forgotten."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.policy import BatchPolicy
from service.batching.stream import Streaming
from service.errors import DeadlineExceeded, InferenceFailed, InvalidInput
from tests.batching.doubles import Clock, Recorder, turn
from tests.batching.stepped_stream import DEADLY, REFUSED, SteppedStream

pytestmark = pytest.mark.anyio

FAR = 1e6


@pytest.fixture
def stream() -> SteppedStream:
    return SteppedStream()


@pytest.fixture
def batcher(stream: SteppedStream, clock: Clock, observer: Recorder) -> Iterator[Batcher[int, Any]]:
    made = Batcher[int, Any](
        Streaming(lambda: stream),
        BatchPolicy(max_batch_size=4, max_queue_size=10, join_size=2, join_delay_s=0.5),
        clock=clock,
        observer=observer,
    )
    yield made
    stream.let_through(1000)
    made.close()
    assert made.join(timeout_s=5.0), "a worker did not end"
    assert observer.at_work == 0
    assert [run.count for run in observer.runs if run.count] == [], "who left was not told"


async def submit(batcher: Batcher[int, Any], *parts: int, deadline: float = FAR) -> list[Any]:
    """Tasks that wait for these parts, which stand in the line by now."""
    tasks = [asyncio.create_task(batcher.submit(part, deadline=deadline)) for part in parts]
    await turn()
    return tasks


async def test_a_short_part_is_answered_before_the_long_one_beside_it(
    batcher: Batcher[int, Any], stream: SteppedStream
) -> None:
    (long,) = await submit(batcher, 3)
    await stream.entered()
    (short,) = await submit(batcher, 1)
    await stream.steps(2)
    assert short.done()
    assert not long.done()
    stream.let_through()
    assert await long == 30


async def test_newcomers_join_a_run_that_goes_on_as_soon_as_enough_places_are_free(
    batcher: Batcher[int, Any], stream: SteppedStream
) -> None:
    tasks = await submit(batcher, 9)
    await stream.entered()
    tasks += await submit(batcher, 1, 1, 9, 5, 5)
    await stream.steps(1)
    assert stream.joined == [[9], [1, 1, 9]]
    await stream.steps(1)
    assert stream.joined == [[9], [1, 1, 9], [5, 5]]
    stream.let_through(100)
    assert await asyncio.gather(*tasks) == [90, 10, 10, 90, 50, 50]


async def test_who_joins_a_run_is_counted_by_why_there_are_not_more_of_them(
    batcher: Batcher[int, Any], stream: SteppedStream, observer: Recorder
) -> None:
    tasks = await submit(batcher, 9)
    await stream.entered()
    tasks += await submit(batcher, 2)
    await stream.steps(1)
    tasks += await submit(batcher, 1, 1, 1)
    await stream.steps(1)
    assert stream.joined == [[9], [2], [1, 1]]
    assert observer.reasons == ["idle", "idle", "full"]
    stream.let_through(100)
    await asyncio.gather(*tasks)


async def test_a_single_free_place_is_filled_only_for_one_who_waited_long(
    batcher: Batcher[int, Any], stream: SteppedStream, clock: Clock
) -> None:
    tasks = await submit(batcher, 9)
    await stream.entered()
    tasks += await submit(batcher, 9, 9, 1)
    await stream.steps(1)
    tasks += await submit(batcher, 2)
    await stream.steps(2)
    assert stream.joined == [[9], [9, 9, 1]]
    clock.advance(0.5)
    await stream.steps(1)
    assert stream.joined == [[9], [9, 9, 1], [2]]
    stream.let_through(100)
    assert await asyncio.gather(*tasks) == [90, 90, 90, 10, 20]


async def test_a_part_that_expires_or_is_left_makes_room_at_the_next_step(
    batcher: Batcher[int, Any], stream: SteppedStream, clock: Clock, observer: Recorder
) -> None:
    (late,) = await submit(batcher, 7, deadline=clock() + 1.0)
    await stream.entered()
    left, stays = await submit(batcher, 8, 3)
    await stream.steps(1)
    left.cancel()
    clock.advance(1.0)
    with pytest.raises(DeadlineExceeded):
        await late
    await stream.steps(1)
    assert stream.evicted == [7, 8]
    stream.let_through(100)
    assert await stays == 30
    assert observer.ended == {"ok": 1, "expired": 1, "cancelled": 1}


async def test_a_refused_part_costs_its_neighbours_nothing(
    batcher: Batcher[int, Any], stream: SteppedStream, observer: Recorder
) -> None:
    stream.let_through(100)
    answers = await asyncio.gather(*await submit(batcher, 2, REFUSED, 2), return_exceptions=True)
    assert [type(answer) for answer in answers] == [int, InvalidInput, int]
    assert observer.ended == {"ok": 2, "client_error": 1}


async def test_a_worker_that_dies_answers_everybody_in_its_run_and_is_replaced(
    batcher: Batcher[int, Any],
    stream: SteppedStream,
    observer: Recorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks = await submit(batcher, 5)
    await stream.entered()
    tasks += await submit(batcher, DEADLY, 5)
    stream.let_through(2)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [InferenceFailed] * 3
    stream.let_through(100)
    assert await batcher.submit(2, deadline=FAR) == 20
    assert observer.ended == {"ok": 1, "failed": 3}
    assert "died" in caplog.text


async def test_drain_waits_for_those_inside_and_those_that_wait(
    batcher: Batcher[int, Any], stream: SteppedStream
) -> None:
    tasks = await submit(batcher, 6)
    await stream.entered()
    tasks += await submit(batcher, 6, 6, 6, 6, 6)
    draining = asyncio.create_task(batcher.drain())
    await turn()
    assert not draining.done()
    stream.let_through(1000)
    await draining
    assert await asyncio.gather(*tasks) == [60] * 6

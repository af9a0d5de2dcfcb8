"""What a stream tells on the way, what it learns, and that it breaks without losing anybody."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.pace import StreamPace
from service.batching.policy import BatchPolicy
from service.batching.sharing import Sharing
from service.batching.stream import Streaming
from service.batching.surroundings import Surroundings
from service.errors import DeadlineExceeded, InferenceFailed, Overloaded
from tests.batching.doubles import Clock, GatedRunner, Recorder, turn
from tests.batching.stepped_stream import SteppedStream

pytestmark = pytest.mark.anyio

FAR = 1e6
Told = list[tuple[int, Any]]


class FlawedPolicy(BatchPolicy):
    """Cannot choose among items of cost 13."""

    def choose(self, costs: Sequence[int], *args: Any, **kwargs: Any) -> Any:
        if 13 in costs:
            raise IndexError("flaw")
        return super().choose(costs, *args, **kwargs)


@pytest.fixture
def stream() -> SteppedStream:
    return SteppedStream()


@pytest.fixture
def pace() -> StreamPace:
    return StreamPace()


@pytest.fixture
def batcher(
    stream: SteppedStream, clock: Clock, observer: Recorder, pace: StreamPace
) -> Iterator[Batcher[int, Any]]:
    sharing: Sharing[int] = Sharing(lambda part: part if part > 100 else None)
    made = Batcher[int, Any](
        Streaming(lambda: stream),
        FlawedPolicy(max_batch_size=4, max_queue_size=10, join_size=2),
        clock=clock,
        observer=observer,
        surroundings=Surroundings(pace=pace, sharing=sharing, chance=lambda: 0.0),
    )
    yield made
    stream.let_through(1000)
    made.close()
    assert made.join(timeout_s=5.0), "a worker did not end"


def submitted(
    batcher: Batcher[int, Any], *parts: int, told: Told | None = None, **how: Any
) -> asyncio.Task[list[Any]]:
    on_progress: Callable[[int, Any], None] | None = None
    if told is not None:
        on_progress = lambda place, known: told.append((place, known))  # noqa: E731
    how = {"deadline": FAR} | how
    return asyncio.create_task(batcher.submit_each(parts, on_progress=on_progress, **how))


async def test_each_step_is_told_and_the_answer_last(
    batcher: Batcher[int, Any], stream: SteppedStream
) -> None:
    told: Told = []
    task = submitted(batcher, 3, 2, told=told)
    await stream.entered()
    await stream.steps(1)
    assert told == [(0, 1), (1, 1)]
    await stream.steps(1)
    assert told[2:] == [(1, 20), (0, 2)]
    stream.let_through()
    assert await task == [30, 20]
    assert told[4:] == [(0, 30)]


async def test_only_those_who_asked_are_told_and_nothing_is_worked_out_for_others(
    batcher: Batcher[int, Any], stream: SteppedStream
) -> None:
    told: Told = []
    tasks = [submitted(batcher, 5), submitted(batcher, 4, told=told)]
    await stream.entered()
    await stream.steps(3)
    assert told == [(0, 1), (0, 2), (0, 3)]
    assert stream.asked == [4, 4, 4]
    stream.let_through(10)
    await asyncio.gather(*tasks)


async def test_what_is_known_is_told_when_it_changed_and_not_while_it_is_nothing(
    batcher: Batcher[int, Any], stream: SteppedStream
) -> None:
    stream.known = lambda part, steps: None if steps < 2 else f"{steps // 3} words"
    told: Told = []
    task = submitted(batcher, 7, told=told)
    await stream.entered()
    await stream.steps(6)
    assert told == [(0, "0 words"), (0, "1 words"), (0, "2 words")]
    stream.let_through()
    await task


async def test_who_joins_an_item_hears_how_it_goes_on(
    batcher: Batcher[int, Any], stream: SteppedStream
) -> None:
    first: Told = []
    second: Told = []
    tasks = [submitted(batcher, 104, told=first)]
    await stream.entered()
    await stream.steps(1)
    tasks.append(submitted(batcher, 1, 104, told=second))
    await turn()
    await stream.steps(1)
    assert first == [(0, 1), (0, 2)]
    assert second == [(1, 2)]
    stream.let_through(200)
    assert [await task for task in tasks] == [[1040], [10, 1040]]


async def test_who_left_is_told_no_more(
    batcher: Batcher[int, Any], stream: SteppedStream, observer: Recorder
) -> None:
    first: Told = []
    second: Told = []
    leaves, stays = (submitted(batcher, 103, told=told) for told in (first, second))
    await stream.entered()
    await stream.steps(1)
    leaves.cancel()
    await stream.steps(1)
    assert (first, second) == ([(0, 1)], [(0, 1), (0, 2)])
    stream.let_through(200)
    await stays
    assert (len(first), second[-1]) == (1, (0, 1030))
    assert observer.ended == {"ok": 1, "cancelled": 1}


async def test_a_model_that_runs_whole_batches_tells_its_answers(
    make_batcher: Callable[..., Batcher[int, Any]], runner: GatedRunner
) -> None:
    told: Told = []
    runner.open()
    await submitted(make_batcher(max_batch_size=2), 1, 2, 3, told=told)
    assert told == [(0, 10), (1, 20), (2, 30)]


async def test_a_stream_learns_its_pace_from_those_it_answered(
    batcher: Batcher[int, Any], stream: SteppedStream, pace: StreamPace, clock: Clock
) -> None:
    stream.before_step = lambda: clock.advance(1.0)
    stream.let_through(2)
    await submitted(batcher, 2, 2, costs=[3, 5])
    assert pace.share_s(8) == pytest.approx(2.0), "two steps for both of them"
    assert pace.stay_s(8) == pytest.approx(4.0), "two steps each"
    stream.let_through()
    await submitted(batcher, 1, costs=[8])
    assert pace.share_s(8) == pytest.approx(8 * (0.9 * 2.0 + 1.0) / (0.9 * 8 + 8)), "one step more"


async def test_work_for_those_who_left_is_part_of_the_pace(
    batcher: Batcher[int, Any], stream: SteppedStream, pace: StreamPace, clock: Clock
) -> None:
    leaves = submitted(batcher, 9)
    await stream.entered()
    stream.before_step = lambda: clock.advance(1.0)
    await stream.steps(3)
    leaves.cancel()
    await turn()
    stream.let_through()
    for _ in range(4):
        await turn()
    stays = submitted(batcher, 1, costs=[2])
    stream.let_through(10)
    await stays
    assert pace.share_s(2) == pytest.approx(5.0)
    assert pace.stay_s(2) == pytest.approx(1.0)


async def test_whoever_would_be_late_by_the_pace_is_refused(
    batcher: Batcher[int, Any], stream: SteppedStream, pace: StreamPace, clock: Clock
) -> None:
    pace.measured(cost=1, work_s=1.0, stay_s=3.0)
    task = submitted(batcher, 9)
    await stream.entered()
    assert batcher.queue_s == 0.0
    with pytest.raises(Overloaded, match="about 4 s"):  # one in work, and its stay
        await batcher.submit(1, deadline=clock() + 3.9)
    in_time = submitted(batcher, 1, deadline=clock() + 4.0)
    await turn()
    assert batcher.queue_s == 1.0
    stream.let_through(20)
    assert [await task, await in_time] == [[90], [10]]


async def test_a_refusal_ends_when_something_has_its_answer_though_nobody_moves_up(
    batcher: Batcher[int, Any], stream: SteppedStream, pace: StreamPace
) -> None:
    pace.measured(cost=1, work_s=1.0, stay_s=1.0)
    inside = submitted(batcher, 1, 9, 9)
    await stream.entered()
    waits = submitted(batcher, 2, priority="bulk")  # for more room than there is
    await turn()
    told = batcher.refusal("interactive", 3.5)
    assert told is not None, "three seconds of work, and its stay"
    assert batcher.refuses_again(told)
    await stream.steps(1)
    assert batcher.depth == 1
    assert not batcher.refuses_again(told)
    assert batcher.refusal("interactive", 3.5) is None
    stream.let_through(20)
    await asyncio.gather(inside, waits)


async def test_bulk_alone_leaves_places_for_who_may_come(
    batcher: Batcher[int, Any], stream: SteppedStream
) -> None:
    bulk = submitted(batcher, 3, 3, 3, 3, priority="bulk")
    await stream.entered()
    assert stream.joined == [[3, 3]]
    hurried = submitted(batcher, 1, 1)
    await turn()
    await stream.steps(1)
    assert stream.joined == [[3, 3], [1, 1]]
    stream.let_through(20)
    assert [await bulk, await hurried] == [[30] * 4, [10] * 2]


async def test_a_worker_that_knows_of_a_deadline_first_tells_the_truth(
    batcher: Batcher[int, Any], stream: SteppedStream, clock: Clock, observer: Recorder
) -> None:
    late = submitted(batcher, 5, deadline=clock() + 1.0)
    await stream.entered()
    stays = submitted(batcher, 9)
    await turn()
    clock.advance(1.0)
    stream.let_through()
    assert stream.has_entered()  # and meanwhile the event loop had no say
    assert stream.evicted == [5]
    (error,) = await late
    assert isinstance(error, DeadlineExceeded)
    stream.let_through(20)
    await stays
    assert observer.ended == {"ok": 1, "expired": 1}


async def one_that_breaks(batcher: Batcher[int, Any], stream: SteppedStream, way: str) -> Any:
    """Have the stream break in this way while 9 is inside, and 5 has just joined or is about to."""

    def fail(*_: Any) -> Any:
        raise SystemExit("dead")

    before = submitted(batcher, 1)  # has its answer, and is none of those who lose theirs
    await stream.entered()
    stream.let_through()
    assert await before == [10]
    inside = submitted(batcher, 9, told=[])
    await stream.entered()
    joins = submitted(batcher, 5, 5, told=[], costs=[13, 1] if way == "choose" else None)
    await turn()
    if way != "choose":
        setattr(stream, way, fail)
    stream.let_through(2)
    return await asyncio.gather(inside, joins)


@pytest.mark.parametrize("way", ["admit", "choose", "known", "before_step"])
async def test_whatever_breaks_everybody_is_answered_and_the_next_are_served(
    batcher: Batcher[int, Any], stream: SteppedStream, observer: Recorder, way: str
) -> None:
    admit = stream.admit
    inside, joins = await one_that_breaks(batcher, stream, way)
    assert [type(answer) for answer in (*inside, *joins)] == [InferenceFailed] * 3
    stream.admit = admit  # type: ignore[method-assign]
    stream.rows.clear()
    stream.known = lambda part, steps: steps
    stream.before_step = lambda: None
    stream.let_through(20)
    assert await batcher.submit(2, deadline=FAR) == 20
    await batcher.drain()
    assert observer.ended == {"ok": 2, "failed": 3}

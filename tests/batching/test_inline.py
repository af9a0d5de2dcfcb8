"""Which items the event loop runs by itself, and that they fare as those that a worker runs."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.cost import LatencyModel, Parts
from service.batching.inline import COMPANY_S, LONGEST_S
from service.batching.isolation import Stoppable
from service.batching.policy import HAND_OFF_S
from service.batching.sharing import AnswerCache, Sharing
from service.batching.stream import Streaming
from service.errors import InferenceFailed
from tests.batching.doubles import Clock, Recorder, turn
from tests.batching.known import Known
from tests.batching.stepped_stream import SteppedStream

MakeBatcher = Callable[..., Batcher[int, Any]]

pytestmark = pytest.mark.anyio

FAR = 1e6
SHORT = Parts(step_s=LONGEST_S / 10)  # a part of cost 10 is just short enough


class Threads:
    """A model that answers with the part, and remembers who ran which parts."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, list[int]]] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self, parts: list[int]) -> list[object]:
        self.runs.append((threading.get_ident(), list(parts)))
        self.meanwhile()
        return [ValueError("bad") if part < 0 else part for part in parts]

    @property
    def on_loop(self) -> list[list[int]]:
        """What ran in the thread of the test, which is that of the event loop."""
        return [parts for thread, parts in self.runs if thread == threading.get_ident()]


class FewCores:
    """A core that is free or not."""

    def __init__(self) -> None:
        self.is_free = True
        self.held = 0

    def turn_now(self) -> AbstractContextManager[None] | None:
        if not self.is_free:
            return None
        self.held += 1
        return nullcontext()


@pytest.fixture
def model() -> Threads:
    return Threads()


@pytest.fixture
def cores() -> FewCores:
    return FewCores()


@pytest.fixture
def make(make_batcher: MakeBatcher, model: Threads, cores: FewCores) -> MakeBatcher:
    return partial(
        make_batcher,
        run=model,
        latency=Known(SHORT),
        is_quick=lambda part: part != 13,
        turn_now=cores.turn_now,
    )


async def test_a_short_item_that_is_alone_runs_on_the_event_loop(
    make: MakeBatcher, model: Threads, cores: FewCores, observer: Recorder
) -> None:
    batcher = make()
    assert await batcher.submit(7, cost=10, deadline=FAR) == 7
    assert await batcher.submit(8, cost=10, deadline=FAR) == 8
    assert model.on_loop == [[7], [8]]
    assert cores.held == 2, "it holds a core like everybody"
    assert observer.sizes == [1, 1]
    assert observer.reasons == ["idle", "idle"]
    assert batcher.outcomes == {"ok": 2}


@pytest.mark.parametrize(
    ("part", "cost"),
    [(7, 11), (13, 10)],
    ids=["it would run too long", "it is not quick to prepare"],
)
async def test_what_would_hold_up_the_loop_goes_to_a_worker(
    make: MakeBatcher, model: Threads, part: int, cost: int
) -> None:
    assert await make().submit(part, cost=cost, deadline=FAR) == part
    assert model.on_loop == []


async def test_before_anything_was_measured_a_worker_runs_it(
    make: MakeBatcher, model: Threads
) -> None:
    assert await make(latency=LatencyModel()).submit(7, deadline=FAR) == 7
    assert model.on_loop == []


async def test_items_that_come_together_run_together_in_a_worker(
    make: MakeBatcher, model: Threads
) -> None:
    batcher = make()
    calls = (batcher.submit(part, deadline=FAR) for part in (1, 2, 3))
    assert await asyncio.gather(*calls) == [1, 2, 3]
    assert await batcher.submit_many([4, 5], deadline=FAR) == [4, 5]
    assert model.on_loop == []


async def test_what_shares_an_item_or_has_a_kept_answer_needs_no_run(
    make: MakeBatcher, model: Threads, observer: Recorder
) -> None:
    cache = AnswerCache(100, lambda key, answer: 1)
    batcher = make(sharing=Sharing(lambda part: part, cache))
    together = (batcher.submit(1, deadline=FAR) for _ in range(2))
    assert await asyncio.gather(*together) == [1, 1]
    assert await batcher.submit(1, deadline=FAR) == 1
    assert await batcher.submit_many([1, 1], deadline=FAR) == [1, 1]
    assert observer.look_ups == {"miss": 1, "shared": 1, "hit": 3}
    assert model.on_loop == [[1]]
    assert len(model.runs) == 1


async def test_without_a_free_core_a_worker_waits_for_one(
    make: MakeBatcher, model: Threads, cores: FewCores
) -> None:
    cores.is_free = False
    assert await make().submit(7, deadline=FAR) == 7
    assert model.on_loop == []


async def test_an_item_that_is_to_wait_for_company_waits(
    make: MakeBatcher, model: Threads, clock: Clock
) -> None:
    batcher = make(max_batch_size=2, max_queue_delay_s=1.0)
    first = asyncio.create_task(batcher.submit(1, deadline=FAR))
    for _ in range(5):
        await asyncio.sleep(0)
    assert model.runs == []
    assert await batcher.submit(2, deadline=FAR) == 2
    assert await first == 1
    assert model.runs[0][1] == [1, 2]
    assert model.on_loop == []


async def test_who_has_no_time_to_wait_for_company_does_not(
    make: MakeBatcher, model: Threads, clock: Clock, observer: Recorder
) -> None:
    batcher = make(max_batch_size=2, max_queue_delay_s=1.0)
    assert await batcher.submit(1, deadline=clock() + HAND_OFF_S) == 1
    assert model.on_loop == [[1]]
    assert observer.reasons == ["deadline"]


async def test_an_error_is_the_answer_of_its_item_alone(make: MakeBatcher, model: Threads) -> None:
    batcher = make()
    with pytest.raises(InferenceFailed):
        await batcher.submit(-1, deadline=FAR)
    assert await batcher.submit(2, deadline=FAR) == 2
    assert model.on_loop == [[-1], [2]]
    assert batcher.outcomes == {"failed": 1, "ok": 1}


async def test_a_model_that_can_be_stopped_runs_there_too(
    make: MakeBatcher, model: Threads
) -> None:
    stops: list[threading.Event] = []

    def new_stop() -> threading.Event:
        stops.append(threading.Event())
        return stops[-1]

    def run(parts: list[int], stop: threading.Event) -> list[object]:
        assert not stop.is_set()
        return model(parts)

    batcher = make(run=Stoppable(run, new_stop))
    assert [await batcher.submit(part, deadline=FAR) for part in (1, 2)] == [1, 2]
    assert model.on_loop == [[1], [2]]
    assert len(stops) == 1, "nobody could ask for it, so one serves all"


async def test_several_workers_serve_side_by_side_who_came_during_a_run(
    make: MakeBatcher, model: Threads, clock: Clock
) -> None:
    batcher = make(workers=2)
    loop, others = asyncio.get_running_loop(), []

    def another_comes() -> None:
        # as from a socket: the loop hears of it after the run, before the answer is out
        model.meanwhile = lambda: None
        loop.call_soon(
            lambda: others.append(asyncio.ensure_future(batcher.submit(2, deadline=FAR)))
        )

    model.meanwhile = another_comes
    assert await batcher.submit(1, deadline=FAR) == 1
    assert await others[0] == 2
    assert await batcher.submit(3, deadline=FAR) == 3
    assert model.on_loop == [[1]]
    clock.advance(COMPANY_S)
    assert await batcher.submit(4, deadline=FAR) == 4
    assert model.on_loop == [[1], [4]]


async def test_nothing_is_lost_when_the_model_closes_before_its_turn(
    make: MakeBatcher, model: Threads
) -> None:
    batcher = make()
    call = asyncio.create_task(batcher.submit(1, deadline=FAR))
    await asyncio.sleep(0)
    await batcher.drain()
    assert await call == 1


async def test_a_short_item_that_is_alone_needs_no_stream(
    make: MakeBatcher, model: Threads, cores: FewCores
) -> None:
    stream = SteppedStream()
    batcher = make(run=Streaming(lambda: stream, alone=model))
    assert await batcher.submit(7, cost=10, deadline=FAR) == 7
    assert model.on_loop == [[7]]
    assert not stream.joined
    stream.let_through(99)
    assert await batcher.submit(3, cost=11, deadline=FAR) == 30, "it would run too long"
    assert [parts == [3] for parts in stream.joined] == [True]
    assert cores.held == 1


async def test_a_stream_without_another_way_takes_everybody(make: MakeBatcher) -> None:
    stream = SteppedStream()
    stream.let_through(99)
    batcher = make(run=Streaming(lambda: stream))
    assert await batcher.submit(2, deadline=FAR) == 20
    assert stream.joined == [[2]]


async def test_who_comes_while_a_stream_works_joins_it(make: MakeBatcher, model: Threads) -> None:
    stream = SteppedStream()
    batcher = make(run=Streaming(lambda: stream, alone=model), join_size=1)
    long = asyncio.create_task(batcher.submit(5, cost=11, deadline=FAR))
    await stream.entered()
    short = asyncio.create_task(batcher.submit(1, cost=1, deadline=FAR))
    await turn()
    stream.let_through(99)
    assert (await long, await short) == (50, 10)
    assert not model.runs

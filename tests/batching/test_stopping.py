"""Runs that nobody waits for any more are stopped, and nobody suffers for it."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import anyio.to_thread
import numpy as np
import pytest

from service.batching.batcher import Batcher
from service.batching.isolation import Stoppable
from service.batching.policy import BatchPolicy
from service.batching.sharing import Sharing
from service.errors import Cancelled, DeadlineExceeded, InvalidInput
from service.runtime.session import Abort, open_session
from tests.batching.doubles import Clock, Recorder, turn
from tests.runtime.tiny_models import endless_graph

MakeBatcher = Callable[..., Batcher[int, Any]]

pytestmark = pytest.mark.anyio

FAR = 1e6


class Brake:
    """What a batcher may pull, once; a test may let the run end by itself instead."""

    def __init__(self) -> None:
        self.is_pulled = False
        self.go = threading.Event()

    def set(self) -> None:
        self.is_pulled = True
        self.go.set()


class StoppableModel:
    """Holds each run until it is stopped or let go; answers ten times the part."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.brakes: list[Brake] = []
        self.is_deaf = False  # the stop comes too late to be heard
        self._entered = threading.Semaphore(0)

    def run(self, parts: Sequence[int], brake: Brake) -> list[int]:
        self.batches.append(list(parts))
        self.brakes.append(brake)
        self._entered.release()
        assert brake.go.wait(10.0)
        if brake.is_pulled and not self.is_deaf:
            raise Cancelled("stopped")
        return [part * 10 for part in parts]

    async def entered(self) -> Brake:
        """The brake of the run that has just begun."""
        came = await anyio.to_thread.run_sync(lambda: self._entered.acquire(timeout=10.0))
        assert came, "no batch came"
        return self.brakes[-1]


@pytest.fixture
def model() -> StoppableModel:
    return StoppableModel()


@pytest.fixture
def batcher(make_batcher: MakeBatcher, model: StoppableModel) -> Batcher[int, Any]:
    return make_batcher(run=Stoppable(model.run, Brake))


async def running(
    batcher: Batcher[int, Any], model: StoppableModel, *parts: int, **how: Any
) -> tuple[list[asyncio.Task[Any]], Brake]:
    """Tasks that wait for `parts`, which run together, and the brake of that run."""
    how = {"deadline": FAR} | how
    tasks = [asyncio.create_task(batcher.submit(0, deadline=FAR))]
    blocker = await model.entered()
    tasks += [asyncio.create_task(batcher.submit(part, **how)) for part in parts]
    await turn()
    blocker.go.set()
    brake = await model.entered()
    assert await tasks.pop(0) == 0
    return tasks, brake


async def test_a_run_whose_members_have_all_left_is_stopped(
    batcher: Batcher[int, Any], model: StoppableModel, observer: Recorder
) -> None:
    tasks, brake = await running(batcher, model, 1, 2)
    for task in tasks:
        task.cancel()
    await turn()
    assert brake.is_pulled
    assert observer.stopped == 1
    await batcher.drain()
    assert observer.ended == {"ok": 1, "cancelled": 2}
    assert model.batches == [[0], [1, 2]], "nothing of it is tried again"


async def test_one_member_who_stays_keeps_a_run_going(
    batcher: Batcher[int, Any], model: StoppableModel, observer: Recorder
) -> None:
    (leaves, stays, late), brake = await running(batcher, model, 1, 2, 3)
    leaves.cancel()
    late.cancel()
    await turn()
    assert not brake.is_pulled
    brake.go.set()
    assert await stays == 20
    assert observer.stopped == 0
    assert observer.ended == {"ok": 2, "cancelled": 2}


async def test_a_run_whose_members_all_expired_is_stopped(
    clock: Clock, batcher: Batcher[int, Any], model: StoppableModel, observer: Recorder
) -> None:
    (expires, leaves), brake = await running(batcher, model, 1, 2, deadline=clock() + 1.0)
    leaves.cancel()
    await turn()
    assert not brake.is_pulled
    clock.advance(1.0)
    with pytest.raises(DeadlineExceeded):
        await expires
    assert brake.is_pulled
    await batcher.drain()
    assert observer.stopped == 1
    assert observer.ended == {"ok": 1, "cancelled": 1, "expired": 1}


async def test_each_run_has_a_brake_of_its_own(
    batcher: Batcher[int, Any], model: StoppableModel, observer: Recorder
) -> None:
    (task,), brake = await running(batcher, model, 1)
    task.cancel()
    after = asyncio.create_task(batcher.submit(2, deadline=FAR))
    other = await model.entered()
    assert other is not brake
    assert not other.is_pulled
    other.go.set()
    assert await after == 20
    assert observer.ended == {"ok": 2, "cancelled": 1}


async def test_a_run_that_ends_before_it_hears_the_stop_answers_nobody_twice(
    batcher: Batcher[int, Any], model: StoppableModel, observer: Recorder
) -> None:
    model.is_deaf = True
    tasks, _ = await running(batcher, model, 1, 2)
    for task in tasks:
        task.cancel()
    await batcher.drain()
    assert all(task.cancelled() for task in tasks)
    assert observer.ended == {"ok": 1, "cancelled": 2}
    assert batcher.workers_alive == 1


async def test_a_run_that_is_over_is_stopped_by_nobody(
    batcher: Batcher[int, Any], model: StoppableModel, observer: Recorder
) -> None:
    # One request, of which a part has been answered by the first run when it leaves in the second.
    many = asyncio.create_task(batcher.submit_many(list(range(10)), deadline=FAR))
    first = await model.entered()
    first.go.set()
    second = await model.entered()
    await turn()
    many.cancel()
    await turn()
    assert (first.is_pulled, second.is_pulled) == (False, True)
    assert observer.stopped == 1
    await batcher.drain()
    assert observer.ended == {"ok": 8, "cancelled": 2}


async def test_an_error_that_ends_a_whole_request_stops_no_run_that_is_over(
    make_batcher: MakeBatcher, observer: Recorder
) -> None:
    def refuse_first(parts: list[int], brake: Brake) -> list[Any]:
        return [InvalidInput("no"), *parts[1:]]

    batcher = make_batcher(run=Stoppable(refuse_first, Brake))
    with pytest.raises(InvalidInput):
        await batcher.submit_many([1, 2, 3], deadline=FAR)
    assert observer.stopped == 0
    assert observer.ended == {"client_error": 1, "cancelled": 2}


async def test_a_run_is_wanted_as_long_as_one_shares_an_item_of_it(
    make_batcher: MakeBatcher, model: StoppableModel, observer: Recorder
) -> None:
    sharing: Sharing[int] = Sharing(lambda part: part)
    batcher = make_batcher(run=Stoppable(model.run, Brake), sharing=sharing)
    (leaves,), brake = await running(batcher, model, 1)
    stays = asyncio.create_task(batcher.submit(1, deadline=FAR))
    await turn()
    leaves.cancel()
    await turn()
    assert not brake.is_pulled
    brake.go.set()
    assert await stays == 10
    assert observer.ended == {"ok": 2, "cancelled": 1}


async def test_nobody_joins_an_item_of_a_stopped_run(
    make_batcher: MakeBatcher, model: StoppableModel, observer: Recorder
) -> None:
    sharing: Sharing[int] = Sharing(lambda part: part)
    batcher = make_batcher(run=Stoppable(model.run, Brake), sharing=sharing)
    tasks, brake = await running(batcher, model, 1, 2)
    for task in tasks:
        task.cancel()
    await turn()
    again = asyncio.create_task(batcher.submit(1, deadline=FAR))
    brake = await model.entered()
    brake.go.set()
    assert await again == 10
    assert model.batches == [[0], [1, 2], [1]]
    assert observer.look_ups == {"miss": 4}
    assert observer.ended == {"ok": 2, "cancelled": 2}


async def test_real_onnx_runtime_stops_in_the_middle_of_a_run(observer: Recorder) -> None:
    session = open_session(endless_graph())
    entered = threading.Event()

    def run(parts: list[float], abort: Abort) -> list[Any]:
        entered.set()
        return [session.run({"x": np.array(parts, np.float32)}, abort=abort)["y"]]

    batcher = Batcher[float, Any](
        Stoppable(run, Abort), BatchPolicy(max_batch_size=1, max_queue_size=9), observer=observer
    )
    far = asyncio.get_running_loop().time() + FAR
    leaving = asyncio.create_task(batcher.submit(1.0, deadline=far))
    await anyio.to_thread.run_sync(lambda: entered.wait(10.0))
    leaving.cancel()
    with anyio.fail_after(20.0):
        await batcher.drain()
    batcher.close()
    assert await asyncio.to_thread(batcher.join, 5.0)
    assert observer.stopped == 1
    assert observer.ended == {"cancelled": 1}

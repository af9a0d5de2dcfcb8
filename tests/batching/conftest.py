"""A fake clock that also drives the event loop, and batchers that are closed after the test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.cost import LatencyModel
from service.batching.policy import BatchPolicy
from service.batching.sharing import Sharing
from service.batching.surroundings import Surroundings, TurnNow, no_turn
from tests.batching.doubles import Clock, GatedRunner, Recorder, SteppedLoop

MakeBatcher = Callable[..., Batcher[int, Any]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def anyio_backend(clock: Clock) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": lambda: SteppedLoop(clock)}


@pytest.fixture
def runner() -> GatedRunner:
    return GatedRunner()


@pytest.fixture
def observer() -> Recorder:
    return Recorder()


@pytest.fixture
def make_batcher(clock: Clock, runner: GatedRunner, observer: Recorder) -> Iterator[MakeBatcher]:
    made: list[Batcher[int, Any]] = []

    def make(
        policy: BatchPolicy | None = None,
        *,
        workers: int = 1,
        run: Any = None,
        sharing: Sharing[int] | None = None,
        latency: LatencyModel | None = None,
        is_quick: Callable[[int], bool] | None = None,
        turn_now: TurnNow = no_turn,
        **rules: Any,
    ) -> Batcher[int, Any]:
        rules = {"max_batch_size": 8, "max_queue_size": 100} | rules
        batcher = Batcher[int, Any](
            run or runner,
            policy or BatchPolicy(**rules),
            workers=workers,
            clock=clock,
            observer=observer,
            surroundings=Surroundings(
                latency=latency or LatencyModel(),
                turn_now=turn_now,
                is_quick=is_quick,
                sharing=sharing,
                chance=lambda: 0.0,
            ),
        )
        made.append(batcher)
        return batcher

    yield make
    runner.open()
    for batcher in made:
        batcher.close()
        assert batcher.join(timeout_s=5.0), "a worker did not end"
    assert observer.at_work == 0
    assert [run.count for run in observer.runs if run.count] == [], "who left was not told"

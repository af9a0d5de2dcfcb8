"""Whatever happens, each item ends exactly once, and the counts say how."""

import asyncio
import random
import time
from collections import Counter
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.policy import BatchPolicy
from service.errors import DeadlineExceeded, InferenceFailed, InvalidInput, Overloaded
from tests.batching.doubles import Recorder

ITEMS = 2000
ENDS = {Overloaded: "shed", DeadlineExceeded: "expired", InferenceFailed: "failed"}


class Dies(BaseException):
    """What no `except Exception` stops."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the real clock


class Unruly:
    """A model that answers, refuses, fails and dies by the kind of the part."""

    def __init__(self) -> None:
        self.runs: Counter[int] = Counter()

    def __call__(self, parts: list[tuple[int, str]]) -> list[Any]:
        self.runs.update(number for number, _ in parts)
        kinds = {kind for _, kind in parts}
        if "deadly" in kinds:
            raise Dies
        if "poison" in kinds:
            raise ValueError("poison")
        return [InvalidInput("bad") if kind == "bad" else number for number, kind in parts]


class Tally:
    """What the clients saw."""

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()

    async def submit(
        self, batcher: Batcher[tuple[int, str], int], number: int, kind: str, seconds: float
    ) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            answer = await batcher.submit((number, kind), cost=number % 50, deadline=deadline)
        except InvalidInput:
            self.ended["client_error"] += 1
        except (Overloaded, DeadlineExceeded, InferenceFailed) as error:
            self.ended[ENDS[type(error)]] += 1
        except asyncio.CancelledError:
            self.ended["cancelled"] += 1
            raise
        else:
            assert answer == number
            self.ended["ok"] += 1


def has_workers(batcher: Batcher[Any, Any], count: int) -> bool:
    """Whether so many run within seconds: the last to die may still be on its way."""
    until_s = time.monotonic() + 10.0
    while batcher.workers_alive < count and time.monotonic() < until_s:
        time.sleep(0.001)
    return batcher.workers_alive == count


@pytest.mark.anyio
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_2000_items_over_4_unruly_workers_all_end_once(seed: int) -> None:
    chance = random.Random(seed)
    observer = Recorder()
    model = Unruly()
    tally = Tally()
    batcher = Batcher[tuple[int, str], int](
        model,
        BatchPolicy(max_batch_size=8, max_queue_size=150, look_ahead=32),
        workers=4,
        observer=observer,
    )
    kinds = chance.choices(["good", "bad", "poison", "deadly"], [90, 5, 4, 1], k=ITEMS)
    tasks: list[asyncio.Task[None]] = []
    for number, kind in enumerate(kinds):
        seconds = chance.choice([30.0, 30.0, 30.0, 0.002, 0.0])
        tasks.append(asyncio.create_task(tally.submit(batcher, number, kind, seconds)))
        if chance.random() < 0.1:
            chance.choice(tasks).cancel()
        if number % 400 in (99, 199, 399):  # waves that fit the queue, and waves that do not
            await asyncio.wait(tasks)
    await asyncio.gather(*tasks, return_exceptions=True)
    await batcher.drain()

    # Tasks that were cancelled before their first step have submitted nothing.
    assert sum(batcher.outcomes.values()) == sum(tally.ended.values()) <= ITEMS
    assert observer.ended == batcher.outcomes
    assert tally.ended["shed"] == batcher.outcomes["shed"]
    # An answer and a goodbye may cross: ended for us, and cancelled for the client.
    assert tally.ended["cancelled"] >= batcher.outcomes["cancelled"]
    assert all(batcher.outcomes[outcome] for outcome in ("ok", "failed", "client_error"))
    assert max(model.runs.values()) <= 2, "an item runs in its batch and once alone at most"
    assert batcher.depth == 0
    assert await asyncio.to_thread(has_workers, batcher, 4)
    batcher.close()
    assert await asyncio.to_thread(batcher.join, 5.0)

"""Each part ends exactly once, also when parts are shared, kept, stopped, streamed and urgent."""

import asyncio
import gc
import logging
import random
import threading
from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Any
from weakref import ref

import pytest

from service.batching.batcher import Batcher
from service.batching.isolation import Stoppable
from service.batching.policy import BatchPolicy
from service.batching.sharing import AnswerCache, Sharing
from service.batching.stream import Streaming
from service.batching.surroundings import Surroundings
from service.errors import Cancelled, DeadlineExceeded, InferenceFailed, InvalidInput, Overloaded
from tests.batching.doubles import Recorder

CALLS = 1200
GOOD = 60  # parts below are good, and the same again and again
BAD, POISON, DEADLY = 60, 61, 62
ENDS = {
    Overloaded: "shed",
    DeadlineExceeded: "expired",
    InferenceFailed: "failed",
    InvalidInput: "client_error",
}


class Dies(BaseException):
    """What no `except Exception` stops."""


class Key:
    """Equal for equal parts; unlike a number it can be traced."""

    def __init__(self, part: int) -> None:
        self.part = part

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other.part == self.part

    def __hash__(self) -> int:
        return hash(self.part)


def answer_of(part: int) -> int | Exception:
    return InvalidInput("bad") if part == BAD else part * 10


def run_batch(parts: list[int], stop: threading.Event) -> list[int | Exception]:
    """Slow enough for clients to leave meanwhile."""
    if stop.wait(0.0005 * random.random()):
        raise Cancelled("stopped")
    if DEADLY in parts:
        raise Dies
    if POISON in parts:
        raise ValueError("poison")
    return [answer_of(part) for part in parts]


class Steps:
    """A part takes up to four steps; eight are inside at most."""

    def __init__(self) -> None:
        self._inside: dict[int, list[int]] = {}
        self._tickets = count()

    @property
    def free(self) -> int:
        return 8 - len(self._inside)

    def admit(self, parts: Sequence[int]) -> list[int | Exception]:
        assert len(parts) <= self.free
        return [ValueError("no") if part == POISON else self._seat(part) for part in parts]

    def _seat(self, part: int) -> int:
        ticket = next(self._tickets)
        self._inside[ticket] = [part, 1 + part % 4]
        return ticket

    def step(self) -> list[tuple[int, int | Exception]]:
        for row in self._inside.values():
            if row[0] == DEADLY:
                raise Dies
            row[1] -= 1
        done = [ticket for ticket, row in self._inside.items() if not row[1]]
        return [(ticket, answer_of(self._inside.pop(ticket)[0])) for ticket in done]

    def evict(self, ticket: int) -> None:
        del self._inside[ticket]

    def progress(self, ticket: int) -> int:
        return self._inside[ticket][1]


class Tally:
    """What the clients saw of their parts."""

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        self.told = 0

    def progress(self, place: int, known: object) -> None:
        self.told += 1

    async def submit(self, batcher: Batcher[int, int], parts: list[int], **how: Any) -> None:
        try:
            answers = await batcher.submit_each(parts, on_progress=self.progress, **how)
        except (Overloaded, DeadlineExceeded) as error:
            self.ended[ENDS[type(error)]] += len(parts)
        except asyncio.CancelledError:
            self.ended["cancelled"] += len(parts)
            raise
        else:
            for part, answer in zip(parts, answers, strict=True):
                assert isinstance(answer, Exception) or answer == part * 10
                self.ended["ok" if isinstance(answer, int) else ENDS[type(answer)]] += 1


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the real clock


@pytest.mark.anyio
@pytest.mark.parametrize("keeps_answers", [False, True])
@pytest.mark.parametrize("run", [Stoppable(run_batch, threading.Event), Streaming(Steps)])
async def test_every_part_of_1200_calls_ends_once(
    run: Any, keeps_answers: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL + 1, "slipway.batching")  # tracebacks hold on to items
    chance, tally, observer = random.Random(7), Tally(), Recorder()
    keys: list[ref[Key]] = []

    def key_of(part: int) -> Key | None:
        keys.append(ref(key := Key(part)))
        return key if part % 3 else None

    cache = AnswerCache(12, lambda key, answer: 1) if keeps_answers else None
    batcher = Batcher[int, int](
        run,
        BatchPolicy(max_batch_size=8, max_queue_size=60, look_ahead=32, bulk_every=2),
        workers=3,
        observer=observer,
        surroundings=Surroundings(sharing=Sharing(key_of, cache)),
    )
    kinds = [*range(GOOD), BAD, POISON]
    tasks: list[asyncio.Task[None]] = []
    for number in range(CALLS):
        parts = chance.choices(kinds, k=chance.choice([1, 1, 2, 5]))
        parts += [DEADLY] * (number % 150 == 70)
        how: dict[str, Any] = {
            "costs": [1 + part for part in parts],
            "deadline": asyncio.get_running_loop().time() + chance.choice([30.0, 30.0, 0.003, 0.0]),
            "priority": chance.choice(["interactive", "bulk"]),
        }
        tasks.append(asyncio.create_task(tally.submit(batcher, parts, **how)))
        if chance.random() < 0.15:
            chance.choice(tasks[-20:]).cancel()
        if number % 10 == 9:
            await asyncio.sleep(0)
        if number % 200 in (49, 99, 199):  # waves that fit the queue, and waves that do not
            await asyncio.wait(tasks)
    await asyncio.gather(*tasks, return_exceptions=True)
    await batcher.drain()

    assert sum(batcher.outcomes.values()) == sum(tally.ended.values()) > CALLS / 2
    assert observer.ended == batcher.outcomes
    assert tally.ended["shed"] == batcher.outcomes["shed"] > 0
    # Of a call that expired or was left, some parts may have had their answers before.
    assert tally.ended["ok"] <= batcher.outcomes["ok"]
    # An end of ours and a goodbye may cross: expired for us, and cancelled for the client.
    ours, theirs = batcher.outcomes, tally.ended
    assert theirs["expired"] + theirs["cancelled"] >= ours["expired"] > 0
    assert min(observer.look_ups["shared"], observer.look_ups["miss"]) > 0
    assert bool(observer.look_ups["hit"]) is keeps_answers
    assert tally.told >= tally.ended["ok"] - observer.look_ups["hit"]
    assert (batcher.depth, batcher.queue_s) == (0, 0.0)
    batcher.close()
    assert await asyncio.to_thread(batcher.join, 5.0)
    tasks.clear()
    gc.collect()
    remembered = sum(key() is not None for key in keys)
    assert remembered == (len(cache) if cache is not None else 0), "an item is in flight for ever"

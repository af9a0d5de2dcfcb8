"""Time and a model that a test steers by hand."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import TypeVarTuple

import anyio.to_thread

from service.metrics import ItemOutcome, LookUp, ReleaseReason

Ts = TypeVarTuple("Ts")


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers follow a `Clock`; it remembers them, and calls from threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.calls_from_threads: list[object] = []
        self.timers: list[asyncio.TimerHandle] = []
        super().__init__()

    def time(self) -> float:
        return self._clock()

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self.timers.append(super().call_at(when, callback, *args, context=context))
        return self.timers[-1]

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self.calls_from_threads.append(getattr(callback, "__self__", None))
        return super().call_soon_threadsafe(callback, *args, context=context)


class GatedRunner:
    """A model that holds each batch until it is let through; answers ten times the part."""

    def __init__(self, answer: Callable[[int], object] = lambda part: part * 10) -> None:
        self.batches: list[list[int]] = []
        self.before_answer: Callable[[list[int]], None] = lambda parts: None
        self._answer = answer
        self._entered = threading.Semaphore(0)
        self._gate = threading.Semaphore(0)

    def __call__(self, parts: list[int]) -> list[object]:
        self.batches.append(list(parts))
        self._entered.release()
        self._gate.acquire()
        self.before_answer(parts)
        return [self._answer(part) for part in parts]

    def let_through(self, batches: int = 1) -> None:
        self._gate.release(batches)

    def open(self) -> None:
        self.let_through(1000)

    async def entered(self, batches: int = 1) -> None:
        """Wait until that many more batches have come in."""
        for _ in range(batches):
            came = await anyio.to_thread.run_sync(lambda: self._entered.acquire(timeout=10.0))
            assert came, "no batch came"


class Inside:
    """How many items are in a batch, and what they came from."""

    def __init__(self, origins: Sequence[object], size: int) -> None:
        self.origins = list(origins)
        self.count = size

    def left(self, count: int) -> None:
        self.count -= count


class Recorder:
    """An observer that writes down what it is told."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.waits_s: list[float] = []
        self.ended: Counter[ItemOutcome] = Counter()
        self.depths: list[Callable[[], int]] = []
        self.limits: list[int] = []
        self.queue_s: list[Callable[[], float]] = []
        self.reasons: list[ReleaseReason] = []
        self.predictions: list[tuple[float, float]] = []
        self.look_ups: Counter[LookUp] = Counter()
        self.stopped = 0
        self.admissions = 0
        self.at_work = 0
        self.runs: list[Inside] = []

    def queue_opened(
        self,
        depth: Callable[[], int],
        limit: int,
        seconds: Callable[[], float],
        limit_s: float,
    ) -> None:
        self.depths.append(depth)
        self.limits.append(limit)
        self.queue_s.append(seconds)

    def queue_closed(self, depth: Callable[[], int]) -> None:
        self.depths.remove(depth)

    def admitted(self) -> str:
        self.admissions += 1
        return f"call {self.admissions}"

    def batch_started(
        self,
        size: int,
        waits_s: Sequence[float],
        reason: ReleaseReason,
        origins: Sequence[object],
    ) -> Inside:
        self.sizes.append(size)
        self.waits_s.extend(waits_s)
        self.reasons.append(reason)
        self.runs.append(Inside(origins, size))
        return self.runs[-1]

    def batch_predicted(self, predicted_s: float, seconds: float) -> None:
        self.predictions.append((predicted_s, seconds))

    def item_looked_up(self, result: LookUp) -> None:
        self.look_ups[result] += 1

    def run_stopped(self) -> None:
        self.stopped += 1

    def busy(self, by: int) -> None:
        self.at_work += by

    def items_ended(self, outcome: ItemOutcome, count: int) -> None:
        self.ended[outcome] += count


async def turn() -> None:
    """Let everything happen on the event loop that can happen now."""
    for _ in range(5):
        await asyncio.sleep(0)

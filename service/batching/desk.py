"""What a worker thread has from its batcher, and the worker that runs whole batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.batching.isolation import BROKEN, RunBatch, answer_each
from service.batching.line import Line
from service.batching.observer import BatchObserver
from service.batching.queueing import QueuedItem
from service.errors import InferenceFailed

P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Desk(Generic[P, R]):
    """Where a worker finds its work and leaves its answers.

    `send` takes items, their answers and the seconds of work behind them to the event loop.
    """

    line: Line[P]
    clock: Callable[[], float]
    observer: BatchObserver
    send: Callable[[Sequence[QueuedItem[P]], Sequence[R | Exception], float], None]

    def take(self) -> list[QueuedItem[P]]:
        """Wait for the next batch; [] when there will be no more."""
        try:
            return self.line.take()
        except BaseException:  # choosing failed, and would fail again on the same items
            self.send_failures(self.line.take_all())
            raise

    def started(self, items: Sequence[QueuedItem[P]], now_s: float) -> None:
        """Tell the observer that these items wait no longer."""
        self.observer.batch_started(len(items), [now_s - item.arrival_s for item in items])

    def send_failures(self, items: Sequence[QueuedItem[P]]) -> None:
        """Answer all of them with InferenceFailed."""
        self.send(items, [InferenceFailed(BROKEN) for _ in items], 0.0)


class BatchWorker(Generic[P, R]):
    """One thread's share of the work, batch by batch; see `Workers`."""

    def __init__(self, run_batch: RunBatch[P, R], desk: Desk[P, R]) -> None:
        self._run_batch = run_batch
        self._desk = desk

    def __call__(self) -> bool:
        """Take one batch, run it, send its answers; False when there will be no more."""
        desk = self._desk
        batch = desk.take()
        if not batch:
            return False
        began_s = desk.clock()
        try:
            desk.started(batch, began_s)
            answers = answer_each(
                self._run_batch,
                [item.part for item in batch],
                lambda place: batch[place].is_wanted(desk.clock()),
            )
        except BaseException:
            desk.send_failures(batch)
            raise
        desk.send(batch, answers, desk.clock() - began_s)
        return True

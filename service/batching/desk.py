"""What a worker thread has from its batcher, and the worker that runs whole batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from service.batching.cost import LatencyModel
from service.batching.isolation import BROKEN, RunBatch, Stoppable, answer_each
from service.batching.line import Line
from service.batching.observer import BatchObserver
from service.batching.queueing import QueuedItem, Run, Taken
from service.batching.surroundings import Turn, no_turn
from service.errors import InferenceFailed
from service.metrics import ReleaseReason

P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Desk(Generic[P, R]):
    """Where a worker finds its work and leaves its answers.

    `deliver` takes items and their answers to the event loop, `tell` what is known of one before
    its answer is complete. `turn` is what `at_work` holds.
    """

    line: Line[P]
    clock: Callable[[], float]
    observer: BatchObserver
    deliver: Callable[[Sequence[QueuedItem[P]], Sequence[R | Exception]], None]
    tell: Callable[[QueuedItem[P], Any], None]
    turn: Turn = no_turn

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hold the turn for the block, and tell that a worker is busy."""
        with self.turn():
            self.observer.busy(1)
            try:
                yield
            finally:
                self.observer.busy(-1)

    def take(self, room: int | None = None) -> Taken[P]:
        """The batch that is due; empty if others were faster; see `Line.take`."""
        try:
            return self.line.take(room)
        except BaseException:  # choosing failed, and would fail again on the same items
            self.send_failures(self.line.take_all())
            raise

    def started(self, items: Sequence[QueuedItem[P]], now_s: float, reason: ReleaseReason) -> None:
        """Tell the observer that these items wait no longer."""
        waits_s = [now_s - item.arrival_s for item in items]
        origins = [claim.submission.origin for item in items for claim in tuple(item.claims)]
        trace = self.observer.batch_started(len(items), waits_s, reason, origins)
        if trace is not None:
            for item in items:
                item.trace = trace

    def send(self, items: Sequence[QueuedItem[P]], answers: Sequence[R | Exception]) -> None:
        """These items leave their batch with these answers."""
        for item in items:
            if item.trace is not None:
                item.trace.left(1)
        self.deliver(items, answers)

    def send_failures(self, items: Sequence[QueuedItem[P]]) -> None:
        """Answer all of them with InferenceFailed."""
        self.send(items, [InferenceFailed(BROKEN) for _ in items])


class BatchWorker(Generic[P, R]):
    """One thread's share of the work, batch by batch; see `Workers`."""

    def __init__(
        self, run: RunBatch[P, R] | Stoppable[P, R], desk: Desk[P, R], model: LatencyModel
    ) -> None:
        self._run = run
        self._desk = desk
        self._model = model

    def __call__(self) -> bool:
        """Take one batch, run it, send its answers; False when there will be no more."""
        desk = self._desk
        if not desk.line.wait():
            return False
        with desk.at_work():  # before choosing: a batch goes on forming while its worker waits
            batch, reason = desk.take()
            if batch:
                self._answer(batch, reason)
        return True

    def run_lone(self) -> bool:
        """Run the item that is due, if it is the only one and nothing runs; False if not."""
        lone, reason = self._desk.line.take_lone()
        if lone:
            with self._desk.at_work():
                self._answer(lone, reason)
        return bool(lone)

    def _answer(self, batch: list[QueuedItem[P]], reason: ReleaseReason) -> None:
        desk = self._desk
        began_s = desk.clock()
        try:
            desk.started(batch, began_s, reason)
            run_batch = self._prepare(batch)
            answers = answer_each(
                run_batch,
                [item.part for item in batch],
                lambda place: batch[place].is_wanted(desk.clock()),
            )
            if not any(isinstance(answer, Exception) for answer in answers):
                self._learn(batch, desk.clock() - began_s)
        except BaseException:
            desk.send_failures(batch)
            raise
        desk.send(batch, answers)

    def _prepare(self, batch: Sequence[QueuedItem[P]]) -> RunBatch[P, R]:
        """The model, with a way to stop this run where it has one."""
        chosen = self._run
        if not isinstance(chosen, Stoppable):
            return chosen
        stop = chosen.new_stop()
        run: Run[P] = Run(batch, stop.set)
        for item in batch:
            item.run = run
        return lambda parts: chosen.run(parts, stop)

    def _learn(self, batch: Sequence[QueuedItem[P]], seconds: float) -> None:
        size, length = len(batch), max(item.cost for item in batch)
        if self._model.trusted:
            self._desk.observer.batch_predicted(self._model.seconds(size, length), seconds)
        self._model.measured(size, length, seconds)

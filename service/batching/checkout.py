"""How items leave: answered, expired, refused late, or left by all who waited for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from service.batching.foresight import Foresight
from service.batching.isolation import LATE
from service.batching.ledger import Ledger
from service.batching.line import Line
from service.batching.observer import BatchObserver
from service.batching.queueing import QueuedItem, Submission
from service.batching.reception import LEAVING
from service.batching.sharing import InFlight
from service.errors import DeadlineExceeded, NotReady
from service.metrics import ItemOutcome

P = TypeVar("P")


class Checkout(Generic[P]):
    """Used on the event loop alone, as is `Reception`, where items come in."""

    def __init__(
        self,
        line: Line[P],
        in_flight: InFlight[P],
        observer: BatchObserver,
        foresight: Foresight,
        clock: Callable[[], float],
    ) -> None:
        self._line = line
        self._foresight = foresight
        self._clock = clock
        self._in_flight = in_flight
        self._observer = observer
        self._idle = asyncio.Event()
        self.ledger = Ledger(abandoned=self._abandon, listener=observer.items_ended)

    async def drained(self) -> None:
        """Return when a line that accepts nothing new has nothing left in it or in work."""
        self._notice_idle()
        await self._idle.wait()

    def expire(self, submission: Submission[P]) -> None:
        """Its deadline has passed."""
        for item in submission.items:
            self._look_back(item, submission.deadline_s)
        self.end(submission, "expired", DeadlineExceeded(LATE))

    def refuse(self, items: Sequence[QueuedItem[P]]) -> None:
        """These waited, and nobody will take them any more."""
        for item in items:
            for claim in tuple(item.claims):
                self.end(claim.submission, "shed", NotReady(LEAVING))

    def end(
        self, submission: Submission[P], outcome: ItemOutcome, error: Exception | None = None
    ) -> None:
        """End all parts of a submission that have no answer yet, with `error` if one is given."""
        self.ledger.end(submission, outcome, error)
        self._notice_idle()

    def settle(self, batch: Sequence[QueuedItem[P]], answers: Sequence[object]) -> None:
        """A batch that was taken comes back with one answer or error for each item."""
        now_s = self._clock()
        for item, answer in zip(batch, answers, strict=True):
            item.run = None
            if not isinstance(answer, Exception):
                self._look_back(item, now_s)
            self._in_flight.answered(item, answer)
            self.progressed(item, answer)
        self.ledger.settle(batch, answers)
        self._line.finished(batch)
        self._notice_idle()

    def progressed(self, item: QueuedItem[P], known: object) -> None:
        """Tell those who asked for it what is known of an answer so far."""
        for claim in item.claims:
            if claim.submission.on_progress is not None and not claim.submission.answer.done():
                claim.submission.on_progress(claim.place, known)

    def _look_back(self, item: QueuedItem[P], now_s: float) -> None:
        if item.promised_s is not None:
            self._foresight.answered(item.promised_s, now_s - item.arrival_s)
            item.promised_s = None  # late ones may have an answer all the same

    def _abandon(self, items: Sequence[QueuedItem[P]]) -> None:
        """Nobody waits for these items any more: out of the line, and out of work."""
        self._line.leave(items)
        self._line.abandoned += len(items)
        for item in items:
            self._in_flight.remove(item)
        for run in {item.run for item in items}:
            if run is not None and run.stop_if_abandoned():
                self._observer.run_stopped()

    def _notice_idle(self) -> None:
        if not self._line.accepting and self._line.idle:
            self._idle.set()

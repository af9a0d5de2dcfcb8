"""Groups single items into batches for worker threads, and takes the answers back.

Items wait in one line; a worker that is idle takes what is there at once, so batches form while
all workers are busy. What an item comes to (answered, failed, expired, cancelled, shed) is decided
on the event loop alone, exactly once; a worker only takes items out of the line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from service.batching.desk import BatchWorker, Desk
from service.batching.drain_rate import DrainRate
from service.batching.isolation import LATE, RunBatch
from service.batching.ledger import Ledger
from service.batching.line import Line
from service.batching.observer import BatchObserver, NoObserver
from service.batching.policy import BatchPolicy
from service.batching.queueing import QueuedItem, Submission
from service.batching.stream import Streaming, StreamWorker
from service.batching.workers import Step, Workers
from service.errors import DeadlineExceeded, NotReady, Overloaded, ServiceError
from service.metrics import ItemOutcome

P = TypeVar("P")
R = TypeVar("R")

LEAVING = "The model is being taken out of service; send the item again."


class Batcher(Generic[P, R]):
    """Runs a model on `workers` threads. All `async` methods belong to one event loop.

    `run` gets 1 to `max_batch_size` parts and returns one answer for each, in order; an exception
    among the answers is the answer of that part. Or it is `Streaming`, for a model that items may
    join and leave between its steps. `clock` tells seconds, monotonic.
    """

    def __init__(
        self,
        run: RunBatch[P, R] | Streaming[P, R],
        policy: BatchPolicy,
        *,
        workers: int = 1,
        clock: Callable[[], float] = time.monotonic,
        observer: BatchObserver | None = None,
        name: str = "batch",
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._observer = observer or NoObserver()
        self._rate = DrainRate()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle = asyncio.Event()
        self._line: Line[P] = Line(policy, clock)
        self._ledger = Ledger(withdraw=self._line.leave, listener=self._observer.items_ended)
        self._observer.queue_opened(self._line.__len__, policy.max_queue_size)
        desk: Desk[P, R] = Desk(self._line, clock, self._observer, self._send)
        self._workers = Workers(lambda: _worker(run, desk), count=workers, name=name)

    @property
    def depth(self) -> int:
        """How many items wait."""
        return len(self._line)

    @property
    def workers_alive(self) -> int:
        """How many worker threads run."""
        return self._workers.alive

    @property
    def outcomes(self) -> Mapping[ItemOutcome, int]:
        """How many items ended in which way since the start."""
        return self._ledger.outcomes

    async def submit(self, part: P, *, cost: int = 1, deadline: float) -> R:
        """The answer for one part; see `submit_many`."""
        (answer,) = await self._answers((part,), (cost,), deadline, keeps_errors=False)
        return cast("R", answer)

    async def submit_many(
        self, parts: Sequence[P], *, costs: Sequence[int] | None = None, deadline: float
    ) -> list[R]:
        """The answers for `parts`, in order; all of them are admitted, or none.

        `deadline` is in seconds of the clock. Raises Overloaded (the queue is full), NotReady (it
        drains), DeadlineExceeded (at the deadline, also while the batch runs) and the first error
        of a part, which withdraws the others. If the caller is cancelled, parts that still wait
        are not computed.
        """
        return await self._answers(parts, costs, deadline, keeps_errors=False)

    async def submit_each(
        self, parts: Sequence[P], *, costs: Sequence[int] | None = None, deadline: float
    ) -> list[R | ServiceError]:
        """As `submit_many`, but the error of a part stands in the list, as that part's answer."""
        return await self._answers(parts, costs, deadline, keeps_errors=True)

    async def drain(self) -> None:
        """Accept nothing new, and return when everything that was accepted has run."""
        self._line.stop_accepting()
        self._notice_idle()
        await self._idle.wait()

    def close(self) -> None:
        """Refuse what still waits; the workers end after the batch that they run."""
        if self._line.closed:
            return
        leftovers = self._line.close()
        self._observer.queue_closed(self._line.__len__)
        self._on_loop(self._refuse, leftovers)

    def join(self, timeout_s: float) -> bool:
        """Block until the workers have ended after `close`, or time is up; True if they have."""
        return self._workers.join(timeout_s)

    # On the event loop.

    async def _answers(
        self, parts: Sequence[P], costs: Sequence[int] | None, deadline: float, keeps_errors: bool
    ) -> list[Any]:
        if not parts:
            return []
        submission = self._admit(parts, costs or (1,) * len(parts), deadline, keeps_errors)
        try:
            return await submission.answer
        finally:
            if submission.unanswered:
                self._end(submission, "cancelled")

    def _admit(
        self, parts: Sequence[P], costs: Sequence[int], deadline: float, keeps_errors: bool
    ) -> Submission[P]:
        loop = self._bind()
        now_s = self._clock()
        size = len(parts)
        if deadline <= now_s:
            self._ledger.count("expired", size)
            raise DeadlineExceeded(LATE)
        submission: Submission[P] = Submission(
            loop.create_future(), deadline, keeps_errors, [None] * size, size
        )
        submission.items = [
            QueuedItem(part, cost, now_s, place, submission)
            for place, (part, cost) in enumerate(zip(parts, costs, strict=True))
        ]
        if not self._line.enter(submission.items):
            submission.release()
            self._ledger.count("shed", size)
            raise self._refusal()
        submission.timer = loop.call_later(deadline - now_s, self._expire, submission)
        return submission

    def _bind(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("a batcher belongs to one event loop")
            self._loop = loop
        return loop

    def _refusal(self) -> ServiceError:
        if not self._line.accepting:
            return NotReady(LEAVING)
        waiting = len(self._line)
        wait_s = max(1.0, self._rate.seconds_for(waiting, workers=len(self._workers)))
        return Overloaded(
            f"{waiting} items wait already and {self._policy.max_queue_size} may; "
            f"try again in {wait_s:.0f} s.",
            wait_s,
        )

    def _expire(self, submission: Submission[P]) -> None:
        self._end(submission, "expired", DeadlineExceeded(LATE))

    def _refuse(self, items: Sequence[QueuedItem[P]]) -> None:
        for item in items:
            self._end(item.submission, "shed", NotReady(LEAVING))

    def _end(
        self, submission: Submission[P], outcome: ItemOutcome, error: Exception | None = None
    ) -> None:
        self._ledger.end(submission, outcome, error)
        self._notice_idle()

    def _settle(
        self, batch: Sequence[QueuedItem[P]], answers: Sequence[R | Exception], seconds: float
    ) -> None:
        self._ledger.settle(batch, answers)
        if seconds > 0.0:
            self._rate.measured(len(batch), seconds)
        self._line.finished(len(batch))
        self._notice_idle()

    def _notice_idle(self) -> None:
        if not self._line.accepting and self._line.idle:
            self._idle.set()

    def _send(
        self, batch: Sequence[QueuedItem[P]], answers: Sequence[R | Exception], seconds: float
    ) -> None:
        """Called on the worker threads."""
        self._on_loop(self._settle, batch, answers, seconds)

    def _on_loop(self, callback: Callable[..., None], *args: object) -> None:
        if self._loop is None:  # nothing was ever submitted
            return
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            if not self._loop.is_closed():
                raise


def _worker(run: RunBatch[P, R] | Streaming[P, R], desk: Desk[P, R]) -> Step:
    if isinstance(run, Streaming):
        return StreamWorker(run.open(), desk)
    return BatchWorker(run, desk)

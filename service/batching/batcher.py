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

from service.batching.bridge import Bridge
from service.batching.checkout import Checkout
from service.batching.desk import BatchWorker, Desk
from service.batching.inline import Inline
from service.batching.isolation import LATE, RunBatch, Stoppable
from service.batching.line import Line
from service.batching.observer import BatchObserver, NoObserver
from service.batching.pace import BatchPace, Pace
from service.batching.policy import BatchPolicy, Priority
from service.batching.queueing import QueuedItem, Submission
from service.batching.reception import LEAST_COST, Newcomers, Reception, Weigh
from service.batching.sharing import InFlight
from service.batching.stream import Streaming, StreamWorker
from service.batching.surroundings import Surroundings
from service.batching.workers import Step, Workers
from service.errors import DeadlineExceeded, ServiceError
from service.metrics import ItemOutcome

P = TypeVar("P")
R = TypeVar("R")

Progress = Callable[[int, Any], None]


class Batcher(Generic[P, R]):
    """Runs a model on `workers` threads. All `async` methods belong to one event loop.

    `run` gets 1 to `max_batch_size` parts and returns one answer for each, in order; an exception
    among the answers is the answer of that part. It may be `Stoppable`; or `Streaming`, for a model
    that items may join and leave between its steps. `clock` tells seconds, monotonic.
    """

    def __init__(
        self,
        run: RunBatch[P, R] | Stoppable[P, R] | Streaming[P, R],
        policy: BatchPolicy,
        *,
        workers: int = 1,
        clock: Callable[[], float] = time.monotonic,
        observer: BatchObserver | None = None,
        name: str = "batch",
        surroundings: Surroundings | None = None,
    ) -> None:
        around = surroundings or Surroundings()
        self._clock = clock
        self._observer = observer or NoObserver()
        self._bridge = Bridge()
        self.latency = around.latency
        pace: Pace = BatchPace(self.latency, policy.max_batch_size)
        if isinstance(run, Streaming):
            pace = around.pace
        self.pace = pace
        self.is_continuous = isinstance(run, Streaming)
        self.max_batch_size = policy.max_batch_size
        self.most_parts = policy.most_parts
        self._line: Line[P] = Line(policy, clock, pace, workers)
        self._in_flight: InFlight[P] = InFlight(around.sharing)
        self._reception = Reception(
            self._line,
            policy,
            pace,
            self._in_flight,
            workers=workers,
            chance=around.chance,
            listener=self._observer.item_looked_up,
        )
        self._checkout = Checkout(
            self._line, self._in_flight, self._observer, self._reception.foresight, clock
        )
        self._observer.queue_opened(
            self._line.__len__, policy.max_queue_size, self._reception.queue_s, policy.max_queue_s
        )
        desk: Desk[P, R] = Desk(
            self._line, clock, self._observer, self._send, self._tell, around.turn
        )

        def make_step() -> Step:
            if isinstance(run, Streaming):
                return StreamWorker(run.open(), desk, around.pace)
            return BatchWorker(run, desk, self.latency)

        self._inline: Inline[P] | None = None
        plain = _alone(run)
        if around.is_quick is not None and plain is not None:
            # The turn is held around the run; answers need not travel.
            beside: Desk[P, R] = Desk(
                self._line, clock, self._observer, self._checkout.settle, self._tell
            )
            self._inline = Inline(
                BatchWorker(plain, beside, self.latency),
                beside,
                self.latency,
                workers=workers,
                is_quick=around.is_quick,
                turn_now=around.turn_now,
            )
        self._workers = Workers(make_step, count=workers, name=name)

    @property
    def depth(self) -> int:
        """How many items wait."""
        return len(self._line)

    @property
    def queue_s(self) -> float:
        """Predicted seconds until all that waits now is taken."""
        return self._reception.queue_s()

    @property
    def margin(self) -> float:
        """By how much answers may come later than foreseen; see `Foresight`."""
        return self._reception.foresight.margin

    @property
    def workers_alive(self) -> int:
        """How many worker threads run."""
        return self._workers.alive

    @property
    def outcomes(self) -> Mapping[ItemOutcome, int]:
        """How many items ended in which way since the start."""
        return self._checkout.ledger.outcomes

    def refusal(
        self, priority: Priority, spare_s: float, weigh: Weigh = lambda: LEAST_COST
    ) -> ServiceError | None:
        """Why a request that is to be answered within `spare_s`, with a part of the cost that
        `weigh` finds or more, need not even be read; else None.

        What is returned is counted as one item that was shed. On the event loop, like `submit`.
        """
        if self._in_flight.keeps_answers:  # one of them may be what is asked
            return None
        refusal = self._reception.refusal(priority, spare_s, weigh)
        if refusal is not None:
            self._checkout.ledger.count("shed", 1)
        return refusal

    def refused_from(self, error: ServiceError) -> int | None:
        """From which cost on all who ask the same as the last one who was refused get this error,
        until somebody comes, is taken or leaves; None where that is over."""
        return self._reception.refused_from(error)

    def refuses_again(self, error: ServiceError) -> bool:
        """Whether this refusal stands for all who ask the same, whatever they cost; if so, one more
        item is counted as shed. Cheaper than to ask for a refusal anew."""
        if not self._reception.stands(error):
            return False
        self._checkout.ledger.count("shed", 1)
        return True

    async def submit(
        self, part: P, *, cost: int = 1, deadline: float, priority: Priority = "interactive"
    ) -> R:
        """The answer for one part; see `submit_many`."""
        newcomer = Newcomers((part,), (cost,), priority)
        (answer,) = await self._answers(newcomer, deadline, keeps_errors=False)
        return cast("R", answer)

    async def submit_many(
        self,
        parts: Sequence[P],
        *,
        costs: Sequence[int] | None = None,
        deadline: float,
        priority: Priority = "interactive",
    ) -> list[R]:
        """The answers for `parts`, in order; all of them are admitted, or none.

        `deadline` is in seconds of the clock. Raises Overloaded (too much waits already, or the
        deadline cannot be met), NotReady (it drains), DeadlineExceeded (at the deadline, also while
        the batch runs) and the first error of a part, which withdraws the others. If the caller
        is cancelled, parts that still wait are not computed.
        """
        newcomers = Newcomers(parts, costs or (1,) * len(parts), priority)
        return await self._answers(newcomers, deadline, keeps_errors=False)

    async def submit_each(
        self,
        parts: Sequence[P],
        *,
        costs: Sequence[int] | None = None,
        deadline: float,
        priority: Priority = "interactive",
        on_progress: Progress | None = None,
    ) -> list[R | ServiceError]:
        """As `submit_many`, but the error of a part stands in the list, as that part's answer.

        `on_progress` hears on the event loop, with the place of a part, its answer, and before that
        what a `Streaming` model knows of it while it is not complete.
        """
        newcomers = Newcomers(parts, costs or (1,) * len(parts), priority)
        return await self._answers(newcomers, deadline, keeps_errors=True, on_progress=on_progress)

    async def drain(self) -> None:
        """Accept nothing new, and return when everything that was accepted has run."""
        self._line.stop_accepting()
        await self._checkout.drained()

    def close(self) -> None:
        """Refuse what still waits; the workers end after the batch that they run."""
        if self._line.closed:
            return
        leftovers = self._line.close()
        self._observer.queue_closed(self._line.__len__)
        self._bridge.call(self._checkout.refuse, leftovers)

    def join(self, timeout_s: float) -> bool:
        """Block until the workers have ended after `close`, or time is up; True if they have."""
        return self._workers.join(timeout_s)

    # On the event loop.

    async def _answers(
        self,
        newcomers: Newcomers[P],
        deadline: float,
        *,
        keeps_errors: bool,
        on_progress: Progress | None = None,
    ) -> list[Any]:
        size = len(newcomers.parts)
        if not size:
            return []
        answer: asyncio.Future[list[Any]] = self._bridge.bind().create_future()
        submission: Submission[P] = Submission(
            answer, deadline, keeps_errors, [None] * size, size, on_progress=on_progress
        )
        submission.origin = self._observer.admitted()
        kept = self._admit(submission, newcomers)
        try:
            if on_progress is not None:
                for place, known in kept:
                    on_progress(place, known)
            return await answer
        finally:
            if submission.unanswered:
                self._checkout.end(submission, "cancelled")

    def _admit(
        self, submission: Submission[P], newcomers: Newcomers[P]
    ) -> Sequence[tuple[int, Any]]:
        """Let it in, or raise why not; the answers that were kept, by place."""
        now_s = self._clock()
        if submission.deadline_s <= now_s:
            size, submission.unanswered = submission.unanswered, 0
            self._checkout.ledger.count("expired", size)
            raise DeadlineExceeded(LATE)
        seated = self._reception.seat(submission, newcomers, now_s)
        inline = self._inline if self._inline and self._inline.suits(seated.new) else None
        spare_s = submission.deadline_s - now_s
        if refusal := self._reception.let_in(seated.new, spare_s, wakes=inline is None):
            submission.unanswered += len(seated.kept)  # all of it is refused, kept answers too
            self._checkout.ledger.end(submission, "shed")
            raise refusal
        if seated.kept:
            self._checkout.ledger.count("ok", len(seated.kept))
        if submission.unanswered:
            loop = asyncio.get_running_loop()
            submission.timer = loop.call_later(spare_s, self._checkout.expire, submission)
        if inline:
            inline.soon()
        return seated.kept

    # Called on the worker threads.

    def _send(self, batch: Sequence[QueuedItem[P]], answers: Sequence[R | Exception]) -> None:
        self._bridge.call(self._checkout.settle, batch, answers)

    def _tell(self, item: QueuedItem[P], known: object) -> None:
        self._bridge.call(self._checkout.progressed, item, known)


def _alone(run: RunBatch[P, R] | Stoppable[P, R] | Streaming[P, R]) -> RunBatch[P, R] | None:
    """What answers one item at once, in the thread that calls; None for a model that cannot."""
    if isinstance(run, Streaming):
        return run.alone
    return run.unstopped() if isinstance(run, Stoppable) else run

"""What waits: items, and the submissions that each answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from service.batching.policy import Priority
from service.metrics import ReleaseReason, RunTrace

P = TypeVar("P")


@dataclass(slots=True, eq=False)
class Submission(Generic[P]):
    """The parts of one call and the future of their answers. Only the event loop changes it.

    `on_progress` hears, with the place of a part, of what is known before its answer is complete.
    `origin` is what the observer said when it was admitted.
    """

    answer: asyncio.Future[list[Any]]
    deadline_s: float
    keeps_errors: bool
    answers: list[Any]
    unanswered: int
    items: Sequence[QueuedItem[P]] = ()
    timer: asyncio.TimerHandle | None = None
    on_progress: Callable[[int, Any], None] | None = None
    origin: object | None = None

    def keep(self, place: int, answer: object) -> None:
        """Note the answer for the part at `place`; the last one completes the submission."""
        self.answers[place] = answer
        self.unanswered -= 1
        if not self.unanswered:
            self.release()
            self.answer.set_result(self.answers)

    def release(self) -> None:
        """Let go of the timer and of the items: nothing waits for them any more."""
        self.unanswered = 0
        self.items = ()
        if self.timer is not None:
            self.timer.cancel()


class Claim(NamedTuple):
    """Who gets the answer of an item, and at which place of a submission."""

    submission: Submission[Any]
    place: int


@dataclass(slots=True, eq=False)
class Load:
    """What items that came together take: predicted seconds of a worker, and how many of others
    went before them since their first was the oldest."""

    seconds: float = 0.0
    yielded_s: float = 0.0


@dataclass(slots=True, eq=False)
class QueuedItem(Generic[P]):
    """One part that waits, and everybody who waits for it.

    Identical parts share one item: several claims. Claims come and go on the event loop alone; an
    item that is `gone` was dropped or stopped, and can be claimed no more. `share_s` is the
    predicted time of one worker that it takes.
    """

    part: P
    cost: int
    arrival_s: float
    claims: list[Claim]
    priority: Priority = "interactive"
    share_s: float = 0.0
    key: Hashable | None = None
    gone: bool = False
    followed: bool = False  # somebody wants to hear of progress
    passed_over: int = 0  # batches that went before it while it was the oldest
    load: Load = field(default_factory=Load)  # of all that came with it
    promised_s: float | None = None  # until its answer; see `Foresight.promise_s`
    run: Run[P] | None = None
    trace: RunTrace | None = None

    def is_wanted(self, now_s: float) -> bool:
        """Whether somebody still waits for the answer, and in time."""
        for claim in self.claims:  # a loop, since this is asked for every item of every batch
            submission = claim.submission
            if submission.deadline_s > now_s and not submission.answer.done():
                return True
        return False

    @property
    def deadline_s(self) -> float:
        """When the last who waits for it gives up."""
        return max((claim.submission.deadline_s for claim in self.claims), default=0.0)

    @property
    def hurry_s(self) -> float:
        """When the first who waits for it gives up."""
        return min((claim.submission.deadline_s for claim in self.claims), default=float("inf"))


@dataclass(slots=True, eq=False)
class Run(Generic[P]):
    """Items that run together, and how to stop them."""

    items: Sequence[QueuedItem[P]]
    stop: Callable[[], None] = field(default=lambda: None)

    def stop_if_abandoned(self) -> bool:
        """Stop the run if nobody waits for any of its items any more; on the event loop."""
        if any(item.claims for item in self.items):
            return False
        for item in self.items:
            item.gone = True
        self.stop()
        return True


class Taken(NamedTuple, Generic[P]):
    """Items that left the line together, and why there are not more of them."""

    items: list[QueuedItem[P]]
    reason: ReleaseReason

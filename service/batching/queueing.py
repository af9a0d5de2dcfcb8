"""What waits: items, and the submission that each belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

P = TypeVar("P")


@dataclass(slots=True, eq=False)
class Submission(Generic[P]):
    """The parts of one call and the future of their answers. Only the event loop changes it."""

    answer: asyncio.Future[list[Any]]
    deadline_s: float
    keeps_errors: bool
    answers: list[Any]
    unanswered: int
    items: Sequence[QueuedItem[P]] = ()
    timer: asyncio.TimerHandle | None = None

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


@dataclass(slots=True, eq=False)
class QueuedItem(Generic[P]):
    """One part that waits, and where its answer belongs."""

    part: P
    cost: int
    arrival_s: float
    place: int
    submission: Submission[P]

    def is_wanted(self, now_s: float) -> bool:
        """Whether somebody still waits for the answer, and in time."""
        return not self.submission.answer.done() and self.submission.deadline_s > now_s

"""Continuous batching: items join and leave a run between its steps, instead of sharing a batch.

For models that answer step by step, such as translators: a short item does not wait for the long
ones beside it, and the places of those that end are taken at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from service.batching.desk import Desk
from service.batching.isolation import LATE, RunBatch, shown
from service.batching.pace import StreamPace
from service.batching.queueing import QueuedItem, Taken
from service.errors import DeadlineExceeded
from service.metrics import ReleaseReason

P = TypeVar("P")
R = TypeVar("R")
P_in = TypeVar("P_in", contravariant=True)
R_out = TypeVar("R_out", covariant=True)


class Stream(Protocol[P_in, R_out]):
    """A run that goes on. Each worker thread opens one of its own and is its only user."""

    @property
    def free(self) -> int:
        """How many parts may join before the next step."""
        ...

    def admit(self, parts: Sequence[P_in]) -> Sequence[int | Exception]:
        """A ticket for each part, in order, or the error of a part that cannot join."""
        ...

    def step(self) -> Sequence[tuple[int, R_out | Exception]]:
        """Go one step further; the tickets that are done, with their answers or errors."""
        ...

    def evict(self, ticket: int) -> None:
        """Forget a part whose answer nobody wants any more."""
        ...

    def progress(self, ticket: int) -> Any | None:
        """What is known of an answer that is not complete; None if that is nothing yet."""
        ...


@dataclass(frozen=True, slots=True)
class Streaming(Generic[P, R]):
    """Asks a batcher to work continuously; `open` is called in each worker thread.

    `alone` answers items without a stream, for one that is alone; see `Inline`.
    """

    open: Callable[[], Stream[P, R]]
    alone: RunBatch[P, R] | None = None


@dataclass(slots=True)
class _Resident(Generic[P]):
    """An item that is being worked on."""

    item: QueuedItem[P]
    joined_s: float
    told: Any = None


class StreamWorker(Generic[P, R]):
    """One thread's share of the work: admit, evict, step, answer; see `Workers`."""

    def __init__(self, stream: Stream[P, R], desk: Desk[P, R], pace: StreamPace) -> None:
        self._stream = stream
        self._desk = desk
        self._pace = pace
        self._residents: dict[int, _Resident[P]] = {}
        self._unanswered: dict[QueuedItem[P], None] = {}  # all that it took, inside or not
        self._worked_s = 0.0
        self._joined_s = desk.clock()
        self._abandoned = 0
        self._earliest_s = float("inf")  # the first deadline of those inside

    def __call__(self) -> bool:
        """Take whoever may join, run one step, send the answers; False when all is over."""
        if not self._residents and not self._desk.line.wait():
            return False
        with self._desk.at_work():
            try:
                self._turn()
            except BaseException:  # whatever it was doing: nobody is left without an answer
                self._desk.send_failures(list(self._unanswered))
                raise
        return True

    def _turn(self) -> None:
        began_s = self._desk.clock()
        joining, reason = self._joining(began_s)
        self._unanswered.update(dict.fromkeys(joining))
        if not self._unanswered:
            return
        refused = self._admit(joining, began_s, reason) if joining else []
        self._evict_unwanted(began_s)
        done = self._stream.step() if self._residents else []
        now_s = self._desk.clock()
        self._worked_s += now_s - began_s
        answered = [(self._residents.pop(ticket), answer) for ticket, answer in done]
        self._learn([resident for resident, _ in answered], now_s)
        self._send([*refused, *((resident.item, answer) for resident, answer in answered)])
        self._tell_progress()

    def _joining(self, now_s: float) -> Taken[P]:
        if not self._residents:
            return self._desk.take(self._stream.free)
        return self._desk.line.join(self._stream.free, now_s - self._joined_s)

    def _admit(
        self, items: Sequence[QueuedItem[P]], now_s: float, reason: ReleaseReason
    ) -> list[tuple[QueuedItem[P], Exception]]:
        self._desk.started(items, now_s, reason)
        self._joined_s = now_s
        refused: list[tuple[QueuedItem[P], Exception]] = []
        tickets = self._stream.admit([item.part for item in items])
        for item, ticket in zip(items, tickets, strict=True):
            if isinstance(ticket, Exception):
                refused.append((item, ticket))
            else:
                self._residents[ticket] = _Resident(item, now_s)
                self._earliest_s = min(self._earliest_s, item.deadline_s)
        return refused

    def _evict_unwanted(self, now_s: float) -> None:
        """Whoever expired or left in the middle of the run makes room at once."""
        abandoned = self._desk.line.abandoned
        if abandoned == self._abandoned and now_s < self._earliest_s:
            return
        self._abandoned = abandoned
        tickets = {resident.item: ticket for ticket, resident in self._residents.items()}
        unwanted = self._desk.line.drop(list(tickets))
        for item in unwanted:
            self._stream.evict(tickets[item])
            del self._residents[tickets[item]]
        inside = [resident.item.deadline_s for resident in self._residents.values()]
        self._earliest_s = min(inside, default=float("inf"))
        # Most have had their end; but this thread may know of a deadline before their timer does.
        self._send([(item, DeadlineExceeded(LATE)) for item in unwanted])

    def _learn(self, answered: Sequence[_Resident[P]], now_s: float) -> None:
        if answered:
            cost = sum(resident.item.cost for resident in answered)
            stay_s = sum(now_s - resident.joined_s for resident in answered)
            self._pace.measured(cost, self._worked_s, stay_s)
            self._worked_s = 0.0

    def _send(self, answered: Sequence[tuple[QueuedItem[P], R | Exception]]) -> None:
        if not answered:
            return
        for item, _ in answered:
            del self._unanswered[item]
        answers = [shown(a) if isinstance(a, Exception) else a for _, a in answered]
        self._desk.send([item for item, _ in answered], answers)

    def _tell_progress(self) -> None:
        for ticket, resident in self._residents.items():
            if not resident.item.followed:
                continue
            known = self._stream.progress(ticket)
            if known is not None and known != resident.told:
                resident.told = known
                self._desk.tell(resident.item, known)

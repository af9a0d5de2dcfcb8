"""Where parts become items, or join those that ask the same, or are turned away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, Generic, NamedTuple, TypeVar

from service.batching.admission import Outlook, objection, retry_after_s
from service.batching.foresight import Foresight
from service.batching.line import Line
from service.batching.pace import Pace
from service.batching.policy import BatchPolicy, Priority
from service.batching.queueing import Claim, QueuedItem, Submission
from service.batching.sharing import InFlight
from service.errors import NotReady, Overloaded, ServiceError
from service.metrics import LookUp

P = TypeVar("P")

LEAST_COST = 1  # of any item

# For each that waits: fewer foreseen, and more of those let in expired (bench row "counting").
LATECOMERS = 8
LEAVING = "The model is being taken out of service; send the item again."


Weigh = Callable[[], int]  # what an item costs at least; not for nothing


class Newcomers(NamedTuple, Generic[P]):
    """The parts of one call on their way in."""

    parts: Sequence[P]
    costs: Sequence[int]
    priority: Priority


class Seated(NamedTuple, Generic[P]):
    """Kept answers with the places of their parts, in order, and the items that nobody asked for
    before."""

    kept: Sequence[tuple[int, Any]]
    new: Sequence[QueuedItem[P]]


class Told(NamedTuple):
    """What the last one was told who was refused, and what was so then: who costs no less is told
    the same."""

    asked: tuple[Priority, float, int]
    cost: int
    error: ServiceError


class Seen(NamedTuple):
    """What the door saw for one that it did not refuse, and what was so then."""

    changes: int
    priority: Priority
    cost: int
    queue_s: float
    stay_s: float


class Reception(Generic[P]):
    """Used on the event loop alone; `chance` tells numbers in 0..1."""

    def __init__(
        self,
        line: Line[P],
        policy: BatchPolicy,
        pace: Pace,
        in_flight: InFlight[P],
        *,
        workers: int,
        chance: Callable[[], float],
        listener: Callable[[LookUp], None],
    ) -> None:
        self._line = line
        self._policy = policy
        self._pace = pace
        self._in_flight = in_flight
        self.foresight = Foresight()
        self._workers = workers
        self._chance = chance
        self._listener = listener
        self._told: Told | None = None
        self._seen: Seen | None = None

    def queue_s(self, priority: Priority = "bulk") -> float:
        """Predicted seconds until all that waits before a newcomer is taken."""
        return self._line.waiting_s(priority) / self._workers

    def seat(self, submission: Submission[P], newcomers: Newcomers[P], now_s: float) -> Seated[P]:
        """Give the submission an item for each part that has no kept answer."""
        items: list[QueuedItem[P]] = []
        new: list[QueuedItem[P]] = []
        kept: list[tuple[int, Any]] = []
        for place, (part, cost) in enumerate(zip(newcomers.parts, newcomers.costs, strict=True)):
            key = self._in_flight.key(part)
            answer = self._in_flight.answer(key)
            if answer is not None:
                kept.append((place, answer))
                self._listener("hit")
                continue
            claim = Claim(submission, place)
            item = self._in_flight.find(key)
            if item is not None and self._joins(item, claim, newcomers.priority):
                self._listener("shared")
            else:
                share_s = self._pace.share_s(cost)
                item = QueuedItem(part, cost, now_s, [claim], newcomers.priority, share_s, key)
                new.append(item)
                if key is not None:
                    self._in_flight.add(item)
                    self._listener("miss")
            item.followed |= submission.on_progress is not None
            items.append(item)
        submission.items = items
        for place, answer in kept:
            submission.keep(place, answer)
        return Seated(kept, new)

    def let_in(
        self, new: Sequence[QueuedItem[P]], spare_s: float, *, wakes: bool = True
    ) -> ServiceError | None:
        """Put all these items into the line, or none and say why; `spare_s` to their deadline.

        `wakes` a worker to take them.
        """
        if not new:
            return None
        if not self._line.accepting:
            return NotReady(LEAVING)
        self.foresight.fade(new[0].arrival_s)
        outlook = self._outlook(new, spare_s)
        if outlook is not None:
            seconds = sum(item.share_s for item in new)
            outlook, found = self._judged(outlook, new[0].priority, seconds)
            if found:
                return self._overloaded(*found)
            if len(new) == 1:
                new[0].promised_s = self.foresight.promise_s(outlook.answer_s, spare_s)
        if self._line.enter(new, wakes=wakes):
            return None
        return self._full(new[0].priority, len(new))

    def refusal(self, priority: Priority, spare_s: float, weigh: Weigh) -> ServiceError | None:
        """Why an item of the cost that `weigh` finds, or more, would be refused now; None if it may
        come in. Where even the cheapest would be refused, nothing is weighed.

        Until somebody comes, is taken or leaves, all who ask the same get the same error.
        """
        asked, told = (priority, spare_s, self._line.changes), self._told
        told = told if told is not None and told.asked == asked else None
        if told is not None and (told.cost <= LEAST_COST or told.cost <= weigh()):
            return told.error
        found = self._refusal(priority, spare_s, weigh)
        if found is None:
            return None
        error, cost = found
        self._told = Told(asked, cost, error)
        return error

    def refused_from(self, error: ServiceError) -> int | None:
        """From which cost on all who ask what the last one did who was refused would be told this,
        too; None where that is over."""
        told = self._told
        if told is None or told.error is not error or told.asked[2] != self._line.changes:
            return None
        return told.cost

    def stands(self, error: ServiceError) -> bool:
        """Whether they would, whatever they cost."""
        cost = self.refused_from(error)
        return cost is not None and cost <= LEAST_COST

    def _refusal(
        self, priority: Priority, spare_s: float, weigh: Weigh
    ) -> tuple[ServiceError, int] | None:
        """And from which cost on."""
        if not self._line.accepting:
            return NotReady(LEAVING), LEAST_COST
        if self._line.waiting(priority) >= self._policy.max_queue_size:
            return self._full(priority, 1), LEAST_COST
        if not len(self._line) or not self._pace.trusted:
            return None
        before_s = self._line.running_s / self._workers + self.queue_s(priority)
        cost = LEAST_COST if before_s > self._policy.max_queue_s else weigh()
        stay_s = self._policy.stay_s(self._company(priority, 1), cost, self._pace.run_s)
        outlook = Outlook(before_s, stay_s, spare_s)
        outlook, found = self._judged(outlook, priority, self._pace.share_s(cost))
        if found is None:
            self._seen = Seen(self._line.changes, priority, cost, outlook.queue_s, stay_s)
            return None
        return self._overloaded(*found), cost

    def _outlook(self, new: Sequence[QueuedItem[P]], spare_s: float) -> Outlook | None:
        """What they would meet; None where predictions are not asked."""
        item, seen = new[0], self._seen
        if seen is not None and len(new) == 1:
            asked = (self._line.changes, item.priority, item.cost)
            if seen[:3] == asked:  # as who comes straight from the door
                return Outlook(seen.queue_s, seen.stay_s, spare_s)
        # With nothing in work it is not asked either: it could never learn that it is wrong.
        if not self._pace.trusted or self._line.idle:
            return None
        company = self._company(item.priority, len(new))
        longest = max(item.cost for item in new)
        stay_s = self._policy.stay_s(company, longest, self._pace.run_s)
        share_s = sum(item.share_s for item in new) / self._workers
        before_s = self._line.running_s / self._workers + self.queue_s(item.priority)
        return Outlook(before_s, max(stay_s, share_s), spare_s)

    def _judged(
        self, outlook: Outlook, priority: Priority, seconds: float
    ) -> tuple[Outlook, tuple[str, float] | None]:
        """What is to be said against it; not before it was asked whether what takes so long goes
        before others."""
        found = objection(self._policy, outlook, self.foresight.margin)
        if found is None or not self._policy.goes_before(seconds, self._line.longest_s):
            return outlook, found
        outlook = self._going_before(outlook, priority, seconds)
        return outlook, objection(self._policy, outlook, self.foresight.margin)

    def _going_before(self, outlook: Outlook, priority: Priority, seconds: float) -> Outlook:
        """The outlook of items that need not wait for all who came earlier, if they are such."""
        staying_s, passed = self._line.staying(priority, seconds)
        if passed is None:
            return outlook
        if priority == "bulk":
            staying_s += self._line.waiting_s("interactive")
        long_s = passed.load.seconds / self._workers
        if self._policy.is_padded:
            company = self._company(priority, 1)
            long_s = self._policy.stay_s(company, passed.cost, self._pace.run_s)
        before_s = self._policy.with_long_ones_s(staying_s / self._workers, long_s)
        running_s = self._line.running_s / self._workers
        return outlook._replace(queue_s=min(outlook.queue_s, running_s + before_s))

    def _company(self, priority: Priority, arriving: int) -> int:
        """How many may run together, if so many come while these wait: a worker's share of all.
        Bulk and interactive items never do."""
        waiting = self._line.waiting(priority)
        return ceil((waiting + arriving) * LATECOMERS / self._workers)

    def _joins(self, item: QueuedItem[P], claim: Claim, priority: Priority) -> bool:
        if item.priority == "bulk" and priority == "interactive":
            return False  # it would have to wait with the bulk
        return self._line.claim(item, claim)

    def _overloaded(self, reason: str, seconds: float) -> Overloaded:
        wait_s = retry_after_s(seconds, self._chance())
        return Overloaded(f"{reason}; try again in {wait_s:.0f} s.", wait_s)

    def _full(self, priority: Priority, arriving: int) -> Overloaded:
        waiting, most = self._line.waiting(priority), self._policy.max_queue_size
        reason = f"{waiting} items wait already and {most} may"
        if arriving > 1:
            counted = self._policy.counted(arriving)
            brings = f"{arriving}" if counted == arriving else f"{arriving} (counted as {counted})"
            reason = (
                f"{waiting} items wait already, this request brings {brings} and {most} may wait"
            )
        return self._overloaded(reason, self.queue_s(priority))

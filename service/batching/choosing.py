"""Which of the items that wait go next, and together: the rules of the policy for real items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from service.batching.pace import Pace
from service.batching.policy import BatchPolicy, Priority
from service.batching.queueing import QueuedItem, Taken
from service.batching.waiting import Waiting
from service.metrics import ReleaseReason

P = TypeVar("P")


class Choosing(Generic[P]):
    """Chooses from `waiting` for one of `workers`; under the lock of the line, like everything
    here."""

    def __init__(
        self,
        waiting: Waiting[P],
        policy: BatchPolicy,
        clock: Callable[[], float],
        pace: Pace | None,
        workers: int,
    ) -> None:
        self._waiting = waiting
        self._policy = policy
        self._clock = clock
        self._pace = pace
        self._workers = workers
        self._passed_over = 0  # batches in a row that left a bulk item standing

    def turn_of(self) -> Priority:
        """Whose batch is next: bulk where nobody else waits, or was passed over long enough."""
        if not self._waiting.of("bulk"):
            return "interactive"
        if not self._waiting.of("interactive") or self._passed_over >= self._policy.bulk_every:
            return "bulk"
        return "interactive"

    def staying(self, priority: Priority, seconds: float) -> tuple[float, QueuedItem[P] | None]:
        """See `Line.staying`."""
        staying_s, passed, passed_s = 0.0, None, 0.0
        for item in self._waiting.of(priority):
            whole_s = item.share_s if self._policy.is_padded else item.load.seconds
            if not self._policy.goes_before(seconds, whole_s):
                staying_s += item.share_s
            elif whole_s > passed_s:
                passed, passed_s = item, whole_s
        return staying_s, passed

    def take(self, most: int | None, partial: ReleaseReason) -> Taken[P]:
        """Remove and return a batch. Items that are late are dropped: their timer answers them."""
        turn = self.turn_of()
        if turn == "bulk" and most is not None:
            most = max(1, most - self._policy.join_size)
        passed_over = turn == "interactive" and bool(self._waiting.of("bulk"))
        self._passed_over = self._passed_over + 1 if passed_over else 0
        fresh = self._fresh(turn)
        if not fresh:
            return Taken([], "idle")
        oldest = fresh[0]
        quick = [] if self._policy.is_padded else self._quick(turn, oldest)
        fresh = [*quick, *(item for item in fresh if item not in quick)] if quick else fresh
        choice = self._policy.choose(
            [item.cost for item in fresh],
            most,
            run_s=self._pace.run_s if self._pace is not None else None,
            spare_s=oldest.deadline_s - self._clock(),
            # Guided self-scheduling (Polychronopoulos and Kuck 1987): no worker is idle while
            # another has everything.
            share=-(-len(self._waiting.of(turn)) // self._workers),
            partial=partial,
            passed_over=oldest.passed_over,
        )
        batch = [fresh[place] for place in choice.places]
        oldest.passed_over += 1  # if it goes itself, nobody asks any more
        oldest.load.yielded_s += sum(item.share_s for item in quick if item in batch)
        for item in batch:
            self._waiting.remove(item)
        return Taken(batch, choice.reason)

    def _quick(self, turn: Priority, oldest: QueuedItem[P]) -> list[QueuedItem[P]]:
        """Those who go before the oldest and all that came with it, as they take next to nothing
        beside these and make nobody late."""
        load, now_s = oldest.load, self._clock()
        room_s = self._policy.may_yield_s(load.seconds) - load.yielded_s
        room_s = min(room_s, oldest.deadline_s - now_s - load.seconds)
        found: list[QueuedItem[P]] = []
        for item in self._waiting.of(turn) if room_s > 0.0 else ():
            is_quick = self._policy.goes_before(item.load.seconds, load.seconds)
            if is_quick and item.is_wanted(now_s):
                room_s -= item.share_s
                if room_s < 0.0 or len(found) == self._policy.max_batch_size:
                    break
                found.append(item)
        return found

    def _fresh(self, turn: Priority) -> list[QueuedItem[P]]:
        now_s = self._clock()
        late: list[QueuedItem[P]] = []
        fresh: list[QueuedItem[P]] = []
        for item in self._waiting.of(turn):
            if item.is_wanted(now_s):
                fresh.append(item)
                if len(fresh) == self._policy.window:
                    break
            else:
                late.append(item)
        for item in late:
            item.gone = True
            self._waiting.remove(item)
        return fresh

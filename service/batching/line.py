"""The line in which items wait: the one thing that the event loop and the workers share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Condition
from typing import Generic, TypeVar

from service.batching.choosing import Choosing
from service.batching.pace import Pace
from service.batching.policy import BatchPolicy, Priority
from service.batching.queueing import Claim, QueuedItem, Taken
from service.batching.waiting import Waiting
from service.metrics import ReleaseReason

P = TypeVar("P")


class Line(Generic[P]):
    """Items in order of arrival, interactive before bulk; any of them can leave at once.

    Safe for threads. Its lock is held for microseconds, so the event loop may take it too.
    """

    def __init__(
        self,
        policy: BatchPolicy,
        clock: Callable[[], float],
        pace: Pace | None = None,
        workers: int = 1,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._pace = pace
        self._changed = Condition()
        self._waiting: Waiting[P] = Waiting()
        self._choosing: Choosing[P] = Choosing(self._waiting, policy, clock, pace, workers)
        self._running = 0
        self._running_s = 0.0
        self.abandoned = 0  # how many items were given up by all who waited, while in work
        self._accepting = True
        self._closed = False

    def __len__(self) -> int:
        return self._waiting.count

    @property
    def changes(self) -> int:
        """How often who waits or runs became others, or the door was shut."""
        return self._waiting.changes

    @property
    def longest_s(self) -> float:
        """Nothing that waits, with all that came with it, takes longer."""
        return self._waiting.longest_s

    @property
    def accepting(self) -> bool:
        """Whether new items may enter at all."""
        return self._accepting

    @property
    def closed(self) -> bool:
        """Whether no worker will take anything any more."""
        return self._closed

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        if self._waiting.count:  # mostly, where it is asked often; without the lock
            return False
        with self._changed:
            return not len(self) and not self._running

    @property
    def running_s(self) -> float:
        """Predicted seconds of one worker for what was taken and has no answer yet."""
        return self._running_s

    def waiting(self, priority: Priority) -> int:
        """How many items wait before a newcomer."""
        return self._waiting.before(priority)

    def waiting_s(self, priority: Priority = "bulk") -> float:
        """Predicted seconds of one worker for all that waits before a newcomer."""
        return self._waiting.seconds_before(priority)

    def staying(self, priority: Priority, seconds: float) -> tuple[float, QueuedItem[P] | None]:
        """What a newcomer of this priority that takes so long finds before it: the predicted
        seconds of one worker for all whom it does not pass, and the longest of those whom it does,
        if it passes anybody."""
        with self._changed:
            self._waiting.find_longest()
            return self._choosing.staying(priority, seconds)

    def enter(self, items: Sequence[QueuedItem[P]], *, wakes: bool = True) -> bool:
        """Let all `items`, of one priority, in or none; False means refused. `wakes` a worker to
        take them."""
        with self._changed:
            if not self._accepting or not self._policy.admits(
                waiting=self.waiting(items[0].priority), arriving=len(items)
            ):
                return False
            self._waiting.add(items)
            if wakes:
                self._changed.notify()
        return True

    def wake(self) -> None:
        """Have a worker look at what waits."""
        with self._changed:
            self._changed.notify()

    def claim(self, item: QueuedItem[P], claim: Claim) -> bool:
        """Let one more wait for this item; False if it will never be answered."""
        with self._changed:
            if item.gone:
                return False
            item.claims.append(claim)
            if self._policy.max_queue_delay_s:  # this one may be in a greater hurry
                self._changed.notify()
            return True

    def leave(self, items: Iterable[QueuedItem[P]]) -> None:
        """Remove those of `items` that still wait."""
        with self._changed:
            for item in items:
                self._waiting.remove(item)

    def wait(self) -> bool:
        """Wait until a batch is due; False when there will be no more."""
        with self._changed:
            while len(self) or not self._closed:
                pause_s = self._seconds_to_wait()
                if pause_s == 0.0:
                    return True
                self._changed.wait(pause_s)
            return False

    def take(self, room: int | None = None) -> Taken[P]:
        """The batch that is due, to be reported as `finished`; empty if others were faster.

        `room` is how many may come where others can join later: bulk does not fill it.
        """
        with self._changed:
            if self._seconds_to_wait() != 0.0:
                return Taken([], "idle")
            return self._hand_out(self._choosing.take(room, self._why_partial()))

    def take_lone(self) -> Taken[P]:
        """The item that is due, if it is the only one and nothing runs; to be reported as
        `finished`."""
        with self._changed:
            if len(self) != 1 or self._running or self._seconds_to_wait() != 0.0:
                return Taken([], "idle")
            why = self._why_partial()
            lone = self._waiting.clear()
            self._count_running(lone)
            return Taken(lone, why)

    def join(self, most: int, since_join_s: float) -> Taken[P]:
        """Up to `most` items that may join a run which others joined `since_join_s` ago."""
        if not len(self) or not self._policy.may_join(free=most, since_join_s=since_join_s):
            return Taken([], "idle")
        with self._changed:
            if not len(self):
                return Taken([], "idle")
            if self._choosing.turn_of() == "bulk" and most <= self._policy.join_size:
                return Taken([], "idle")
            return self._hand_out(
                self._choosing.take(most, "idle")
            )  # nobody waits for company here

    def take_all(self) -> list[QueuedItem[P]]:
        """Take everything that waits, to be reported as `finished`."""
        with self._changed:
            items = self._waiting.clear()
            self._count_running(items)
            return items

    def drop(self, items: Sequence[QueuedItem[P]]) -> list[QueuedItem[P]]:
        """Those of `items` that nobody waits for any more: from now on nobody can."""
        now_s = self._clock()
        with self._changed:
            dropped = [item for item in items if not item.is_wanted(now_s)]
            for item in dropped:
                item.gone = True
            return dropped

    def finished(self, items: Sequence[QueuedItem[P]]) -> None:
        """These items, which were taken, have their answers."""
        with self._changed:
            self._waiting.changes += 1
            self._running -= len(items)
            left_s = self._running_s - sum(item.share_s for item in items)
            # Back to exactly zero, so that errors of rounding cannot add up.
            self._running_s = max(0.0, left_s) if self._running else 0.0

    def stop_accepting(self) -> None:
        """Refuse all newcomers, and delay partial batches no longer."""
        with self._changed:
            self._waiting.changes += 1
            self._accepting = False
            self._changed.notify_all()

    def close(self) -> list[QueuedItem[P]]:
        """End every `take`; returns what still waited."""
        with self._changed:
            self._closed = True
            self._accepting = False
            self._changed.notify_all()
            return self._waiting.clear()

    # Under the lock.

    def _seconds_to_wait(self) -> float | None:
        """0 to take a batch now, None to wait for a first item."""
        if not len(self):
            return None
        if not self._accepting or not self._policy.max_queue_delay_s:
            return 0.0
        delay_s = self._delay_s()
        return min(delay_s, self._slack_s()) if delay_s else 0.0

    def _delay_s(self) -> float:
        """How much longer what waits, which is less than a batch or overdue, may wait for more."""
        age_s = self._clock() - self._waiting.oldest_arrival_s()
        return self._policy.seconds_to_wait(waiting=len(self), oldest_age_s=age_s)

    def _slack_s(self) -> float:
        """How much longer less than a batch can wait, if whoever asked for it is to be in time."""
        spare_s = min(item.hurry_s for item in self._waiting) - self._clock()
        longest = max(item.cost for item in self._waiting)
        run_s = self._pace.run_s(len(self), longest) if self._pace is not None else 0.0
        return self._policy.slack_s(spare_s=spare_s, run_s=run_s)

    def _why_partial(self) -> ReleaseReason:
        """Why those who are due wait for no more company."""
        if not self._policy.max_queue_delay_s:
            return "idle"
        return "deadline" if self._accepting and self._delay_s() else "age"

    def _hand_out(self, batch: Taken[P]) -> Taken[P]:
        self._count_running(batch.items)
        if batch.items and len(self):  # more than one worker's share: pass the word on
            self._changed.notify()
        return batch

    def _count_running(self, items: Sequence[QueuedItem[P]]) -> None:
        self._running += len(items)
        self._running_s += sum(item.share_s for item in items)

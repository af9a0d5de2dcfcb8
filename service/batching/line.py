"""The line in which items wait: the one thing that the event loop and the workers share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from threading import Condition
from typing import Generic, TypeVar

from service.batching.pace import Pace
from service.batching.policy import BatchPolicy, Priority
from service.batching.queueing import Claim, Load, QueuedItem, Taken
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
        self._workers = workers
        self._clock = clock
        self._pace = pace
        self._changed = Condition()
        self._items: dict[Priority, OrderedDict[QueuedItem[P], None]] = {
            "interactive": OrderedDict(),
            "bulk": OrderedDict(),
        }
        self._waiting_s: dict[Priority, float] = {"interactive": 0.0, "bulk": 0.0}
        self._waiting = 0  # items of both, which is asked several times a request
        self._running = 0
        self._running_s = 0.0
        self.changes = 0  # how often who waits or runs became others, or the door was shut
        self.longest_s = 0.0  # nothing that waits, with all that came with it, takes longer
        self.abandoned = 0  # how many items were given up by all who waited, while in work
        self._passed_over = 0  # batches in a row that left a bulk item standing
        self._accepting = True
        self._closed = False

    def __len__(self) -> int:
        return self._waiting

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
        if self._waiting:  # mostly, where it is asked often; without the lock
            return False
        with self._changed:
            return not len(self) and not self._running

    @property
    def running_s(self) -> float:
        """Predicted seconds of one worker for what was taken and has no answer yet."""
        return self._running_s

    def waiting(self, priority: Priority) -> int:
        """How many items wait before a newcomer."""
        return len(self._items["interactive"]) if priority == "interactive" else self._waiting

    def waiting_s(self, priority: Priority = "bulk") -> float:
        """Predicted seconds of one worker for all that waits before a newcomer."""
        before = self._waiting_s["interactive"]
        return before if priority == "interactive" else before + self._waiting_s["bulk"]

    def staying(self, priority: Priority, seconds: float) -> tuple[float, QueuedItem[P] | None]:
        """What a newcomer of this priority that takes so long finds before it: the predicted
        seconds of one worker for all whom it does not pass, and the longest of those whom it does,
        if it passes anybody."""
        staying_s, passed, passed_s = 0.0, None, 0.0
        with self._changed:
            for item in self._items[priority]:
                whole_s = item.share_s if self._policy.is_padded else item.load.seconds
                if not self._policy.goes_before(seconds, whole_s):
                    staying_s += item.share_s
                elif whole_s > passed_s:
                    passed, passed_s = item, whole_s
            everybody = (item for items in self._items.values() for item in items)
            self.longest_s = max((item.load.seconds for item in everybody), default=0.0)
        return staying_s, passed

    def enter(self, items: Sequence[QueuedItem[P]], *, wakes: bool = True) -> bool:
        """Let all `items`, of one priority, in or none; False means refused. `wakes` a worker to
        take them."""
        with self._changed:
            if not self._accepting or not self._policy.admits(
                waiting=self.waiting(items[0].priority), arriving=len(items)
            ):
                return False
            self.changes += 1
            self._waiting += len(items)
            load = Load(sum(item.share_s for item in items))
            self.longest_s = max(self.longest_s, load.seconds)
            for item in items:
                item.load = load
                self._items[item.priority][item] = None
                self._waiting_s[item.priority] += item.share_s
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
                self._remove(item)

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
            return self._hand_out(self._choose(room, self._why_partial()))

    def take_lone(self) -> Taken[P]:
        """The item that is due, if it is the only one and nothing runs; to be reported as
        `finished`."""
        with self._changed:
            if len(self) != 1 or self._running or self._seconds_to_wait() != 0.0:
                return Taken([], "idle")
            why = self._why_partial()
            lone = self._clear()
            self._count_running(lone)
            return Taken(lone, why)

    def join(self, most: int, since_join_s: float) -> Taken[P]:
        """Up to `most` items that may join a run which others joined `since_join_s` ago."""
        if not len(self) or not self._policy.may_join(free=most, since_join_s=since_join_s):
            return Taken([], "idle")
        with self._changed:
            if not len(self):
                return Taken([], "idle")
            if self._turn_of() == "bulk" and most <= self._policy.join_size:
                return Taken([], "idle")
            return self._hand_out(self._choose(most, "idle"))  # nobody waits for company here

    def take_all(self) -> list[QueuedItem[P]]:
        """Take everything that waits, to be reported as `finished`."""
        with self._changed:
            items = self._clear()
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
            self.changes += 1
            self._running -= len(items)
            left_s = self._running_s - sum(item.share_s for item in items)
            # Back to exactly zero, so that errors of rounding cannot add up.
            self._running_s = max(0.0, left_s) if self._running else 0.0

    def stop_accepting(self) -> None:
        """Refuse all newcomers, and delay partial batches no longer."""
        with self._changed:
            self.changes += 1
            self._accepting = False
            self._changed.notify_all()

    def close(self) -> list[QueuedItem[P]]:
        """End every `take`; returns what still waited."""
        with self._changed:
            self._closed = True
            self._accepting = False
            self._changed.notify_all()
            return self._clear()

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
        return self._policy.seconds_to_wait(waiting=len(self), oldest_age_s=self._oldest_age_s())

    def _slack_s(self) -> float:
        """How much longer less than a batch can wait, if whoever asked for it is to be in time."""
        waiting = [item for items in self._items.values() for item in items]
        spare_s = min(item.hurry_s for item in waiting) - self._clock()
        longest = max(item.cost for item in waiting)
        run_s = self._pace.run_s(len(waiting), longest) if self._pace is not None else 0.0
        return self._policy.slack_s(spare_s=spare_s, run_s=run_s)

    def _why_partial(self) -> ReleaseReason:
        """Why those who are due wait for no more company."""
        if not self._policy.max_queue_delay_s:
            return "idle"
        return "deadline" if self._accepting and self._delay_s() else "age"

    def _oldest_age_s(self) -> float:
        firsts = [next(iter(items)).arrival_s for items in self._items.values() if items]
        return self._clock() - min(firsts)

    def _hand_out(self, batch: Taken[P]) -> Taken[P]:
        self._count_running(batch.items)
        if batch.items and len(self):  # more than one worker's share: pass the word on
            self._changed.notify()
        return batch

    def _count_running(self, items: Sequence[QueuedItem[P]]) -> None:
        self._running += len(items)
        self._running_s += sum(item.share_s for item in items)

    def _turn_of(self) -> Priority:
        """Whose batch is next: bulk where nobody else waits, or was passed over long enough."""
        if not self._items["bulk"]:
            return "interactive"
        if not self._items["interactive"] or self._passed_over >= self._policy.bulk_every:
            return "bulk"
        return "interactive"

    def _choose(self, most: int | None, partial: ReleaseReason) -> Taken[P]:
        """Remove and return a batch. Items that are late are dropped: their timer answers them."""
        turn = self._turn_of()
        if turn == "bulk" and most is not None:
            most = max(1, most - self._policy.join_size)
        passed_over = turn == "interactive" and bool(self._items["bulk"])
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
            share=-(-len(self._items[turn]) // self._workers),
            partial=partial,
            passed_over=oldest.passed_over,
        )
        batch = [fresh[place] for place in choice.places]
        oldest.passed_over += 1  # if it goes itself, nobody asks any more
        oldest.load.yielded_s += sum(item.share_s for item in quick if item in batch)
        for item in batch:
            self._remove(item)
        return Taken(batch, choice.reason)

    def _quick(self, turn: Priority, oldest: QueuedItem[P]) -> list[QueuedItem[P]]:
        """Those who go before the oldest and all that came with it, as they take next to nothing
        beside these and make nobody late."""
        load, now_s = oldest.load, self._clock()
        room_s = self._policy.may_yield_s(load.seconds) - load.yielded_s
        room_s = min(room_s, oldest.deadline_s - now_s - load.seconds)
        found: list[QueuedItem[P]] = []
        for item in self._items[turn] if room_s > 0.0 else ():
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
        for item in self._items[turn]:
            if item.is_wanted(now_s):
                fresh.append(item)
                if len(fresh) == self._policy.window:
                    break
            else:
                late.append(item)
        for item in late:
            item.gone = True
            self._remove(item)
        return fresh

    def _remove(self, item: QueuedItem[P]) -> None:
        items = self._items[item.priority]
        if item not in items:
            return
        del items[item]
        self._waiting -= 1
        self.changes += 1
        left_s = self._waiting_s[item.priority] - item.share_s
        self._waiting_s[item.priority] = max(0.0, left_s) if items else 0.0

    def _clear(self) -> list[QueuedItem[P]]:
        everybody = [item for items in self._items.values() for item in items]
        for item in everybody:
            self._remove(item)
        return everybody

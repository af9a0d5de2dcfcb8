"""The line in which items wait: the one thing that the event loop and the workers share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from threading import Condition
from typing import Generic, TypeVar

from service.batching.policy import BatchPolicy
from service.batching.queueing import QueuedItem

P = TypeVar("P")


class Line(Generic[P]):
    """Items in order of arrival; any of them can leave at once. Safe for threads.

    Its lock is held for microseconds, so the event loop may take it too.
    """

    def __init__(self, policy: BatchPolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._changed = Condition()
        self._items: OrderedDict[QueuedItem[P], None] = OrderedDict()
        self._running = 0
        self._accepting = True
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

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
        with self._changed:
            return not self._items and not self._running

    def enter(self, items: Sequence[QueuedItem[P]]) -> bool:
        """Let all `items` in, or none; False means refused."""
        with self._changed:
            if not self._accepting or not self._policy.admits(
                waiting=len(self._items), arriving=len(items)
            ):
                return False
            for item in items:
                self._items[item] = None
            self._changed.notify()
        return True

    def leave(self, items: Iterable[QueuedItem[P]]) -> None:
        """Remove those of `items` that still wait."""
        with self._changed:
            for item in items:
                self._items.pop(item, None)

    def take(self) -> list[QueuedItem[P]]:
        """Wait for the next batch and take it, to be reported as `finished`; [] when closed."""
        with self._changed:
            while self._items or not self._closed:
                pause_s = self._seconds_to_wait()
                if pause_s == 0.0 and (batch := self._choose()):
                    return self._hand_out(batch)
                if pause_s != 0.0:
                    self._changed.wait(pause_s)
            return []

    def take_now(self, most: int) -> list[QueuedItem[P]]:
        """Up to `most` items that may join a run which goes on, without waiting; often none."""
        with self._changed:
            if not self._items or not self._policy.may_join(
                free=most, oldest_age_s=self._oldest_age_s()
            ):
                return []
            return self._hand_out(self._choose(most))

    def take_all(self) -> list[QueuedItem[P]]:
        """Take everything that waits, to be reported as `finished`."""
        with self._changed:
            items = self._clear()
            self._running += len(items)
            return items

    def finished(self, count: int) -> None:
        """So many of the items that were taken have their answers."""
        with self._changed:
            self._running -= count

    def stop_accepting(self) -> None:
        """Refuse all newcomers, and delay partial batches no longer."""
        with self._changed:
            self._accepting = False
            self._changed.notify_all()

    def close(self) -> list[QueuedItem[P]]:
        """End every `take`; returns what still waited."""
        with self._changed:
            self._closed = True
            self._accepting = False
            self._changed.notify_all()
            return self._clear()

    def _seconds_to_wait(self) -> float | None:
        """0 to take a batch now, None to wait for a first item."""
        if not self._items:
            return None
        if not self._accepting:
            return 0.0
        return self._policy.seconds_to_wait(
            waiting=len(self._items), oldest_age_s=self._oldest_age_s()
        )

    def _oldest_age_s(self) -> float:
        return self._clock() - next(iter(self._items)).arrival_s

    def _hand_out(self, batch: list[QueuedItem[P]]) -> list[QueuedItem[P]]:
        self._running += len(batch)
        if batch and self._items:  # more than one worker's share: pass the word on
            self._changed.notify()
        return batch

    def _choose(self, most: int | None = None) -> list[QueuedItem[P]]:
        """Remove and return a batch. Items that are late are dropped: their timer answers them."""
        now_s = self._clock()
        late: list[QueuedItem[P]] = []
        fresh: list[QueuedItem[P]] = []
        for item in self._items:
            if item.is_wanted(now_s):
                fresh.append(item)
                if len(fresh) == self._policy.window:
                    break
            else:
                late.append(item)
        costs = [item.cost for item in fresh]
        batch = [fresh[place] for place in self._policy.choose(costs, most)]
        for item in (*late, *batch):
            del self._items[item]
        return batch

    def _clear(self) -> list[QueuedItem[P]]:
        items = list(self._items)
        self._items.clear()
        return items

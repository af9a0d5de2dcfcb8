"""The items that wait, by priority, and how much work they are. No lock and no clock: the line has
both.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from service.batching.policy import Priority
from service.batching.queueing import Load, QueuedItem

P = TypeVar("P")


class Waiting(Generic[P]):
    """Items in order of arrival; any of them can leave at once.

    `count` is how many there are of both priorities; `longest_s` is no less than what any of them
    takes with all that came with it; `changes` tells how often they became others.
    """

    def __init__(self) -> None:
        self._items: dict[Priority, OrderedDict[QueuedItem[P], None]] = {
            "interactive": OrderedDict(),
            "bulk": OrderedDict(),
        }
        self._seconds: dict[Priority, float] = {"interactive": 0.0, "bulk": 0.0}
        self.count = 0  # which is asked several times a request
        self.longest_s = 0.0
        self.changes = 0

    def __iter__(self) -> Iterator[QueuedItem[P]]:
        """Everybody, interactive before bulk."""
        return (item for items in self._items.values() for item in items)

    def of(self, priority: Priority) -> OrderedDict[QueuedItem[P], None]:
        """Those of this priority, the oldest first; only to be looked at."""
        return self._items[priority]

    def before(self, priority: Priority) -> int:
        """How many items wait before a newcomer: others of its kind, and before bulk everybody."""
        return len(self._items["interactive"]) if priority == "interactive" else self.count

    def seconds_before(self, priority: Priority) -> float:
        """Predicted seconds of one worker for all that waits before a newcomer."""
        before = self._seconds["interactive"]
        return before if priority == "interactive" else before + self._seconds["bulk"]

    def oldest_arrival_s(self) -> float:
        """When the oldest came, by the clock; there must be one."""
        return min(next(iter(items)).arrival_s for items in self._items.values() if items)

    def add(self, items: Sequence[QueuedItem[P]]) -> None:
        """These came together."""
        self.changes += 1
        self.count += len(items)
        load = Load(sum(item.share_s for item in items))
        self.longest_s = max(self.longest_s, load.seconds)
        for item in items:
            item.load = load
            self._items[item.priority][item] = None
            self._seconds[item.priority] += item.share_s

    def remove(self, item: QueuedItem[P]) -> None:
        """This one waits no longer, if it did."""
        items = self._items[item.priority]
        if item not in items:
            return
        del items[item]
        self.count -= 1
        self.changes += 1
        left_s = self._seconds[item.priority] - item.share_s
        # back to exactly zero, so that errors of rounding cannot add up
        self._seconds[item.priority] = max(0.0, left_s) if items else 0.0

    def clear(self) -> list[QueuedItem[P]]:
        """Remove everybody."""
        everybody = list(self)
        for item in everybody:
            self.remove(item)
        return everybody

    def find_longest(self) -> None:
        """Look for `longest_s` anew, which leaving does not lower."""
        self.longest_s = max((item.load.seconds for item in self), default=0.0)

"""Work that need not be done twice: identical items in flight, and answers kept for a while.

Used on the event loop alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from service.batching.queueing import QueuedItem

P = TypeVar("P")


class AnswerCache:
    """The answers last used, up to `max_bytes` as `weigh(key, answer)` counts them.

    It belongs to one version of one model: with the version goes the cache.
    """

    def __init__(self, max_bytes: int, weigh: Callable[[Hashable, Any], int]) -> None:
        self._max_bytes = max_bytes
        self._weigh = weigh
        self._answers: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: Hashable) -> Any | None:
        """The answer, which thereby stays longer; None if there is none."""
        found = self._answers.get(key)
        if found is None:
            return None
        self._answers.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, answer: Any) -> None:
        """Keep an answer, and forget those not used for longest where room is needed."""
        weight = self._weigh(key, answer)
        if weight > self._max_bytes:
            return
        if key in self._answers:
            self.bytes -= self._answers.pop(key)[1]
        self._answers[key] = (answer, weight)
        self.bytes += weight
        while self.bytes > self._max_bytes:
            self.bytes -= self._answers.popitem(last=False)[1][1]


@dataclass(frozen=True, slots=True)
class Sharing(Generic[P]):
    """How a batcher tells that two parts are the same: `key(part)`, None for one that never is."""

    key: Callable[[P], Hashable | None]
    cache: AnswerCache | None = None


class InFlight(Generic[P]):
    """The items that others may join, by what they ask, and the answers that are kept."""

    def __init__(self, sharing: Sharing[P] | None) -> None:
        self._sharing = sharing
        self._items: dict[Hashable, QueuedItem[P]] = {}

    def __len__(self) -> int:
        return len(self._items)

    @property
    def keeps_answers(self) -> bool:
        """Whether answers stay beyond their requests."""
        return self._sharing is not None and self._sharing.cache is not None

    def key(self, part: P) -> Hashable | None:
        """What makes the part the same as another; None if it shares with nobody."""
        return self._sharing.key(part) if self._sharing is not None else None

    def answer(self, key: Hashable | None) -> Any | None:
        """A kept answer, if there is one."""
        if key is None or self._sharing is None or self._sharing.cache is None:
            return None
        return self._sharing.cache.get(key)

    def find(self, key: Hashable | None) -> QueuedItem[P] | None:
        """The item in flight that asks the same."""
        return self._items.get(key) if key is not None else None

    def add(self, item: QueuedItem[P]) -> None:
        """From now on others may join this item."""
        if item.key is not None:
            self._items[item.key] = item

    def remove(self, item: QueuedItem[P]) -> None:
        """Nobody may join this item any more."""
        if item.key is not None and self._items.get(item.key) is item:
            del self._items[item.key]

    def answered(self, item: QueuedItem[P], answer: Any) -> None:
        """The item has its answer: keep it, unless it is an error."""
        self.remove(item)
        cache = self._sharing.cache if self._sharing is not None else None
        if item.key is not None and cache is not None and not isinstance(answer, Exception):
            cache.put(item.key, answer)

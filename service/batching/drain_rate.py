"""How fast a queue empties, learnt from the batches that ran."""

from __future__ import annotations

MEMORY = 0.9


class DrainRate:
    """Seconds that one worker needs for an item; recent batches weigh most.

    Items and seconds fade alike, so that a batch counts by its size and a lone slow item does not
    outweigh a full batch.
    """

    def __init__(self) -> None:
        self._items = 0.0
        self._seconds = 0.0

    def measured(self, items: int, seconds: float) -> None:
        """A batch of `items` took one worker `seconds`."""
        self._items = MEMORY * self._items + items
        self._seconds = MEMORY * self._seconds + seconds

    def seconds_for(self, items: int, *, workers: int) -> float:
        """How long `workers` need for `items`; 0 while nothing was measured."""
        if self._items == 0.0:
            return 0.0
        return items * self._seconds / self._items / workers

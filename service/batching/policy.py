"""The rules of batching as pure functions of numbers: no clock, no lock, no item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPolicy:
    """How many items may wait, how long a partial batch waits, and who goes with whom.

    `look_ahead` is how many waiting items are compared by cost to fill a batch; 0 keeps strict
    order of arrival, which is right where all items cost the same. `join_size` and `join_delay_s`
    are for continuous batching: newcomers join a running model a few at a time, because starting
    them one by one costs more, unless the oldest has waited long enough.
    """

    max_batch_size: int
    max_queue_size: int
    max_queue_delay_s: float = 0.0
    look_ahead: int = 0
    join_size: int = 4
    join_delay_s: float = 0.005

    def __post_init__(self) -> None:
        if self.max_batch_size < 1 or self.max_queue_size < 1:
            raise ValueError("a batch and a queue hold at least one item")
        if not self.max_queue_delay_s >= 0.0 or self.look_ahead < 0:
            raise ValueError("a delay and a look-ahead are never negative")

    @property
    def window(self) -> int:
        """How many of the oldest items `choose` wants to see."""
        return max(self.max_batch_size, self.look_ahead)

    def admits(self, *, waiting: int, arriving: int) -> bool:
        """Whether all `arriving` items of one request may join those that wait.

        A request that is larger than the whole queue would never fit; it may come alone.
        """
        return waiting + arriving <= self.max_queue_size or waiting == 0

    def seconds_to_wait(self, *, waiting: int, oldest_age_s: float) -> float:
        """How much longer a partial batch may wait for company; 0 means run it now."""
        if waiting >= self.max_batch_size:
            return 0.0
        return max(0.0, self.max_queue_delay_s - oldest_age_s)

    def may_join(self, *, free: int, oldest_age_s: float) -> bool:
        """Whether newcomers may join a run that goes on and has `free` places for them."""
        return free >= self.join_size or (free > 0 and oldest_age_s >= self.join_delay_s)

    def choose(self, costs: Sequence[int], most: int | None = None) -> Sequence[int]:
        """Which of the waiting items run together: their places, in order of arrival.

        `costs` are those of the oldest items, oldest first. The oldest always goes, so an item at
        place n waits n batches at most; its company are the items of nearest cost, older ones
        first, because in one tensor all are padded to the longest. `most` bounds a batch that has
        less room than usual.
        """
        size = self.max_batch_size if most is None else min(most, self.max_batch_size)
        if len(costs) <= size:
            return range(len(costs))
        head = costs[0]
        nearest = sorted(range(1, len(costs)), key=lambda place: abs(costs[place] - head))
        return sorted((0, *nearest[: size - 1]))

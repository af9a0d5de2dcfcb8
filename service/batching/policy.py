"""The rules of batching as pure functions of numbers: no clock, no lock, no item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from service.metrics import ReleaseReason

Priority = Literal["interactive", "bulk"]
RunSeconds = Callable[[int, int], float]  # of a batch of so many items, each of at most that cost

MOST_QUEUES = 4  # one request may fill so many queues
# How early a batch leaves for a deadline: answers may take twice what was foreseen, and another
# thread may hold the interpreter for 5 ms.
SLOWER, HAND_OFF_S = 2.0, 0.005


class Choice(NamedTuple):
    """Which of the waiting items run together, by place, and why there are not more of them."""

    places: Sequence[int]
    reason: ReleaseReason


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPolicy:
    """How many items may wait, how long a partial batch waits, and who goes with whom.

    `look_ahead` is how many waiting items are compared by cost to fill a batch; 0 keeps strict
    order of arrival, which is right where all items cost the same. `is_padded` where a batch takes
    as long as the longest of its items, so that like ones should run together; else the oldest do.
    `join_size` and `join_delay_s`
    are for continuous batching: newcomers join a running model a few at a time, because starting
    them one by one costs more, unless nobody joined for `join_delay_s`; bulk items leave
    `join_size` places free for interactive ones. `bulk_every` is how many batches in a row may
    pass over a bulk item that waits. `max_queue_size` and `max_queue_s` (predicted seconds) bound
    what waits before a newcomer: before an interactive one its own kind, before bulk everybody. So
    bulk takes nobody's place, and up to twice `max_queue_size` wait in all. `max_run_s` bounds what
    is foreseen for a batch of several, since whoever comes while it runs waits for all of it.
    """

    max_batch_size: int
    max_queue_size: int
    max_queue_delay_s: float = 0.0
    max_queue_s: float = float("inf")
    max_run_s: float = float("inf")
    look_ahead: int = 0
    is_padded: bool = True
    join_size: int = 4
    join_delay_s: float = 0.01
    bulk_every: int = 8

    def __post_init__(self) -> None:
        if self.max_batch_size < 1 or self.max_queue_size < 1 or self.bulk_every < 1:
            raise ValueError("a batch and a queue hold at least one item")
        if not self.max_run_s > 0.0:
            raise ValueError("a batch takes time; without a bound that is infinite")
        if not self.max_queue_delay_s >= 0.0 or not self.max_queue_s > 0.0 or self.look_ahead < 0:
            raise ValueError("a delay and a look-ahead are never negative")

    @property
    def window(self) -> int:
        """How many of the oldest items `choose` wants to see."""
        return max(self.max_batch_size, self.look_ahead)

    @property
    def most_parts(self) -> int:
        """The most items that one request may bring, however few wait; for who cuts it up to obey,
        before they are made."""
        return MOST_QUEUES * self.max_queue_size

    def admits(self, *, waiting: int, arriving: int) -> bool:
        """Whether all `arriving` items of one request may join, with so many `waiting` before."""
        return waiting + self.counted(arriving) <= self.max_queue_size

    def counted(self, arriving: int) -> int:
        """As how many a request with so many items counts: as half of the queue at most, or one
        that is larger would never find it empty enough."""
        return arriving if arriving == 1 else min(arriving, max(1, self.max_queue_size // 2))

    def seconds_to_wait(self, *, waiting: int, oldest_age_s: float) -> float:
        """How much longer a partial batch may wait for company; 0 means run it now."""
        if waiting >= self.max_batch_size:
            return 0.0
        return max(0.0, self.max_queue_delay_s - oldest_age_s)

    def slack_s(self, *, spare_s: float, run_s: float) -> float:
        """How much longer a batch that takes `run_s` may wait, to end within `spare_s`."""
        return max(0.0, spare_s - SLOWER * run_s - HAND_OFF_S)

    def may_join(self, *, free: int, since_join_s: float) -> bool:
        """Whether newcomers may join a run that goes on and has `free` places for them.

        `since_join_s` is the time since others did. The age of who waits is no measure: where many
        wait, everybody has waited for long.
        """
        return free >= self.join_size or (free > 0 and since_join_s >= self.join_delay_s)

    def choose(
        self,
        costs: Sequence[int],
        most: int | None = None,
        *,
        run_s: RunSeconds | None = None,
        spare_s: float = float("inf"),
        share: int | None = None,
        partial: ReleaseReason = "idle",
    ) -> Choice:
        """Who of the oldest items run together; `costs` are theirs, oldest first.

        The oldest always goes, so an item at place n waits n batches at most. Its company are the
        items of nearest cost, older ones first, because in one tensor all are padded to the
        longest; with `run_s` only as long as joining is cheaper for a newcomer than a batch of its
        own kind, as the oldest still has its answer within `spare_s`, and as all of it takes no
        longer than `max_run_s`. `most` bounds a batch that has less room than usual, `share` one
        that would leave other workers nothing. `partial` is the reason where nothing but company
        could make it larger.
        """
        size = self.max_batch_size if most is None else min(most, self.max_batch_size)
        if not costs:
            return Choice((), "idle")
        if len(costs) == 1:  # as on every quiet server: nothing to weigh
            return Choice((0,), "full" if size == 1 else partial)
        is_mixed = self.is_padded and len(set(costs)) > 1
        order = _by_nearness(costs) if is_mixed else range(len(costs))
        share = len(costs) if share is None else min(share, len(costs))
        count = min(size, share)
        if run_s is not None and self.is_padded:
            count = _worthwhile([costs[place] for place in order[:count]], len(costs), run_s)
            chosen = [costs[place] for place in order[:count]]
            in_time = _in_time(chosen, run_s, spare_s)
            short = _ending_within(self.max_run_s, chosen, run_s)
            if min(in_time, short) < count:
                reason: ReleaseReason = "deadline" if in_time < short else "full"
                return Choice(sorted(order[: min(in_time, short)]), reason)
        is_full = count == size or count < share
        return Choice(sorted(order[:count]), "full" if is_full else partial)


def _by_nearness(costs: Sequence[int]) -> Sequence[int]:
    head = costs[0]
    return (0, *sorted(range(1, len(costs)), key=lambda place: abs(costs[place] - head)))


def _worthwhile(costs: Sequence[int], waiting: int, run_s: RunSeconds) -> int:
    """How many of `costs`, in this order, to take before one would cost more here than elsewhere.

    Elsewhere is a batch of its own kind, as large as this one would be with it, if so many are
    left: a queue of mixed lengths seldom holds more.
    """
    longest = costs[0]
    if run_s(1, longest) <= 0.0 or len(set(costs)) == 1:
        return len(costs)
    for count, cost in enumerate(costs[1:], start=1):
        company = max(1, min(waiting - count, count + 1))
        grown = max(longest, cost)
        added_s = run_s(count + 1, grown) - run_s(count, longest)
        if added_s > run_s(company, cost) / company:
            return count
        longest = grown
    return len(costs)


def _in_time(costs: Sequence[int], run_s: RunSeconds, spare_s: float) -> int:
    """The most of `costs`, in this order, whose batch ends within `spare_s`.

    All, if the first alone would be late: a small batch does not help it and holds up the others.
    """
    return len(costs) if run_s(1, costs[0]) > spare_s else _ending_within(spare_s, costs, run_s)


def _ending_within(seconds: float, costs: Sequence[int], run_s: RunSeconds) -> int:
    """The most of `costs`, in this order, whose batch takes no longer; 1 at least."""
    longest = costs[0]
    for count, cost in enumerate(costs[1:], start=1):
        longest = max(longest, cost)
        if run_s(count + 1, longest) > seconds:
            return count
    return len(costs)

"""The rules of batching as pure functions of numbers: no clock, no lock, no item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from service.batching.company import (
    RunSeconds,
    by_nearness,
    ending_within,
    in_time,
    useful,
    useful_alike,
    worthwhile,
)
from service.metrics import ReleaseReason

Priority = Literal["interactive", "bulk"]

MOST_QUEUES = 4  # one request may fill so many queues
# How early a batch leaves for a deadline: answers may take twice what was foreseen, and another
# thread may hold the interpreter for 5 ms.
SLOWER, HAND_OFF_S = 2.0, 0.005
# Items that take so small a share of a long batch's time go before it, so many batches in a row.
# So it is held up by less than half of its own time.
QUICK_SHARE, PASSES = 0.1, 4
LONG_S = 0.02  # nobody minds to wait for a batch that is shorter


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
    bulk takes nobody's place, and up to twice `max_queue_size` wait in all. A batch takes longer
    than `short_run_s` only if company makes its items cheaper.
    """

    max_batch_size: int
    max_queue_size: int
    max_queue_delay_s: float = 0.0
    max_queue_s: float = float("inf")
    short_run_s: float = float("inf")
    look_ahead: int = 0
    is_padded: bool = True
    join_size: int = 4
    join_delay_s: float = 0.01
    bulk_every: int = 8

    def __post_init__(self) -> None:
        if self.max_batch_size < 1 or self.max_queue_size < 1 or self.bulk_every < 1:
            raise ValueError("a batch and a queue hold at least one item")
        if not self.short_run_s >= 0.0:
            raise ValueError("a time is never negative")
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

    def stay_s(self, company: int, cost: int, run_s: RunSeconds) -> float:
        """Seconds of a batch in which an item of this cost runs with so many like it, or with as
        many of them as gain by each other."""
        seconds = run_s(company, cost)
        if seconds <= self.short_run_s or not self.is_padded:
            return seconds
        company = min(company, self.max_batch_size)
        return run_s(useful_alike(company, cost, run_s, self.short_run_s), cost)

    def goes_before(self, run_s: float, batch_s: float) -> bool:
        """Whether an item that runs for so long goes before an older batch of `batch_s`."""
        return batch_s >= LONG_S and run_s <= QUICK_SHARE * batch_s

    def may_yield_s(self, seconds: float) -> float:
        """For how long items that take `seconds` together, and came together to where others join
        and leave, may be held up by those who take next to nothing beside them."""
        return QUICK_SHARE * PASSES * seconds if seconds >= LONG_S else 0.0

    def with_long_ones_s(self, quick_s: float, batch_s: float) -> float:
        """Until so much of what goes before batches of `batch_s` has run, with those that have
        their turn between."""
        return quick_s * (1.0 + 1.0 / (QUICK_SHARE * PASSES)) + batch_s

    def choose(
        self,
        costs: Sequence[int],
        most: int | None = None,
        *,
        run_s: RunSeconds | None = None,
        spare_s: float = float("inf"),
        share: int | None = None,
        partial: ReleaseReason = "idle",
        passed_over: int = 0,
    ) -> Choice:
        """Who of the oldest items run together; `costs` are theirs, oldest first.

        The oldest goes, so an item at place n waits n batches at most; but if its batch is long,
        those that take next to nothing beside it go before, unless it was `passed_over` often
        enough. Company are the items of nearest cost, older ones first, because in one tensor all
        are padded to the longest; with `run_s` only as long as joining is cheaper for a newcomer
        than a batch of its own kind, as the oldest still has its answer within `spare_s`, and as
        all gain by it. `most` bounds a batch that has less room than usual, `share` one that would
        leave other workers nothing. `partial` is the reason where nothing but company could make
        it larger.
        """
        size = self.max_batch_size if most is None else min(most, self.max_batch_size)
        if not costs:
            return Choice((), "idle")
        if len(costs) == 1:  # as on every quiet server: nothing to weigh
            return Choice((0,), "full" if size == 1 else partial)
        is_mixed = self.is_padded and len(set(costs)) > 1
        share = len(costs) if share is None else min(share, len(costs))
        count = min(size, share)
        if run_s is None or not self.is_padded:
            places = (by_nearness(costs) if is_mixed else range(len(costs)))[:count]
        else:
            places, bound_by = self._led_by(0, costs, count, run_s, spare_s)
            if is_mixed and passed_over < PASSES:
                quick = self._before(places, costs, count, run_s, spare_s)
                places, bound_by = (quick, None) if quick else (places, bound_by)
            if bound_by is not None:
                return Choice(sorted(places), bound_by)
        is_full = len(places) == size or len(places) < share
        return Choice(sorted(places), "full" if is_full else partial)

    def _led_by(
        self, leader: int, costs: Sequence[int], most: int, run_s: RunSeconds, spare_s: float
    ) -> tuple[Sequence[int], ReleaseReason | None]:
        """The places of a leader and its company, and which bound left out some who would join."""
        order = by_nearness(costs, leader) if len(set(costs)) > 1 else range(len(costs))
        joining = [costs[place] for place in order[:most]]
        joining = joining[: worthwhile(joining, len(costs), run_s)]
        timely = in_time(joining, run_s, spare_s)
        gaining = useful(joining, run_s, self.short_run_s)
        if min(timely, gaining) == len(joining):
            return order[: len(joining)], None
        return order[: min(timely, gaining)], "deadline" if timely < gaining else "full"

    def _before(
        self,
        places: Sequence[int],
        costs: Sequence[int],
        most: int,
        run_s: RunSeconds,
        spare_s: float,
    ) -> Sequence[int]:
        """Who goes before a batch of these places; nobody, mostly."""
        batch_s = run_s(len(places), max(costs[place] for place in places))
        quick_s, least = QUICK_SHARE * batch_s, min(costs)
        if not self.goes_before(run_s(1, least), batch_s) or batch_s + quick_s > spare_s:
            return ()
        quick, _ = self._led_by(costs.index(least), costs, most, run_s, float("inf"))
        return quick[: ending_within(quick_s, [costs[place] for place in quick], run_s)]

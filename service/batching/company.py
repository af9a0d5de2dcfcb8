"""Who shares a batch, as far as its time goes: pure functions of costs and of a prediction.

`run_s` tells the seconds of a batch of so many items, each of at most that cost. `costs` stand in
the order in which items would join; the first leads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

RunSeconds = Callable[[int, int], float]

# By which share of an item's time a larger batch must be cheaper for those who wait for its end.
PAYS = 0.02


def by_nearness(costs: Sequence[int], leader: int = 0) -> Sequence[int]:
    """Places in the order of their cost's distance to that of the leader, who comes first; of
    equals the older."""
    cost = costs[leader]
    others = (place for place in range(len(costs)) if place != leader)
    return (leader, *sorted(others, key=lambda place: abs(costs[place] - cost)))


def worthwhile(costs: Sequence[int], waiting: int, run_s: RunSeconds) -> int:
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


def in_time(costs: Sequence[int], run_s: RunSeconds, spare_s: float) -> int:
    """The most of `costs`, in this order, whose batch ends within `spare_s`.

    All, if the first alone would be late: a small batch does not help it and holds up the others.
    """
    return len(costs) if run_s(1, costs[0]) > spare_s else ending_within(spare_s, costs, run_s)


def ending_within(seconds: float, costs: Sequence[int], run_s: RunSeconds) -> int:
    """The most of `costs`, in this order, whose batch takes no longer; 1 at least."""
    longest = costs[0]
    for count, cost in enumerate(costs[1:], start=1):
        longest = max(longest, cost)
        if run_s(count + 1, longest) > seconds:
            return count
    return len(costs)


def useful(costs: Sequence[int], run_s: RunSeconds, short_s: float) -> int:
    """How many of `costs`, in this order, gain by each other: all whose batch is short.

    Beyond `short_s` only as many as it takes for an item to be about as cheap as with all of them:
    everybody waits for the end of a batch, also who comes while it runs.
    """
    if run_s(len(costs), max(costs)) <= short_s:
        return len(costs)
    seconds, longest = [], 0
    for count, cost in enumerate(costs, start=1):
        longest = max(longest, cost)
        seconds.append(run_s(count, longest))
    enough_s = seconds[-1] / len(costs) * (1.0 + PAYS)
    cheap = next(count for count, s in enumerate(seconds, start=1) if s / count <= enough_s)
    return max(cheap, ending_within(short_s, costs, run_s))


def useful_alike(count: int, cost: int, run_s: RunSeconds, short_s: float) -> int:
    """`useful` of `count` items of one `cost`, without a loop over all sizes: it is asked for
    every newcomer. `run_s` has to grow by the same time with each item, as `LatencyModel` does."""
    alone_s, all_s = run_s(1, cost), run_s(count, cost)
    if all_s <= max(short_s, alone_s):
        return count
    item_s = (all_s - alone_s) / (count - 1)
    call_s = alone_s - item_s
    cheap = ceil(call_s / (all_s / count * (1.0 + PAYS) - item_s))
    ending = int((short_s - call_s) / item_s)
    return max(1, cheap, ending)

"""Finds the highest rate at which a server keeps its word, by trying rates one after another."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from service.load.samples import Summary

# A rate is found when the next one tried would differ by less than this.
NEAR = 1.05
MOST_TRIALS = 16
# A trial may last so many times longer to see enough requests at a low rate.
LONGER = 4.0


@dataclass(frozen=True, slots=True)
class Slo:
    """This share of all requests answered with 200 within so many seconds."""

    latency_s: float
    share: float

    def kept(self, seen: Summary) -> bool:
        """Whether a run of load kept it."""
        return seen.good_share >= self.share

    def seconds(self, rate: float, least_s: float) -> float:
        """How long to send at this rate, to see a few requests of the share that may be late."""
        enough = 5.0 / max(1 - self.share, 0.001)
        return min(max(least_s, enough / rate), LONGER * least_s)


@dataclass(slots=True)
class Capacity:
    """`rate` is the highest that kept the objective, 0 if none did; with every trial."""

    slo: Slo
    rate: float = 0.0
    trials: list[tuple[float, Summary]] = field(default_factory=list)


async def find_capacity(
    measure: Callable[[float], Awaitable[Summary]], slo: Slo, start: float
) -> Capacity:
    """Double or halve from `start` until the answer changes, then close in from both sides.

    `measure` sends load at a rate; two trials never overlap.
    """
    found = Capacity(slo)
    kept, broken = 0.0, 0.0
    rate = start
    while len(found.trials) < MOST_TRIALS:
        seen = await measure(rate)
        found.trials.append((rate, seen))
        if slo.kept(seen):
            kept = max(kept, rate)
        else:
            broken = rate
        following = _next(kept, broken)
        if following is None:
            break
        rate = following
    found.rate = kept
    return found


def _next(kept: float, broken: float) -> float | None:
    if not broken:
        return kept * 2
    if not kept:
        return broken / 2 if broken > 0.1 else None
    return (kept * broken) ** 0.5 if broken > kept * NEAR else None

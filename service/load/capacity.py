"""Finds the highest rate at which a server keeps its word, by trying rates one after another."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from service.load.samples import Summary

MOST_TRIALS = 16
SLOWEST = 0.1  # a second; who cannot keep the objective at this rate cannot keep it at all
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
    measure: Callable[[float], Awaitable[Summary]],
    slo: Slo,
    start: float,
    *,
    stride: float = 2.0,
    near: float = 1.05,
) -> Capacity:
    """Stride up or down from `start` until the answer changes, then close in from both sides.

    `measure` sends load at a rate; two trials never overlap. The rate is found when the lowest that
    was too much is less than `near` times the highest that was not.
    """
    found = Capacity(slo)
    rate: float | None = start
    broken = float("inf")
    while rate is not None and len(found.trials) < MOST_TRIALS:
        seen = await measure(rate)
        found.trials.append((rate, seen))
        if slo.kept(seen):
            found.rate = max(found.rate, rate)
        else:
            broken = min(broken, rate)
        rate = _next(found.rate, broken, stride, near)
    return found


def _next(kept: float, broken: float, stride: float, near: float) -> float | None:
    if broken == float("inf"):
        return kept * stride
    if not kept:
        return broken / stride if broken > SLOWEST else None
    return (kept * broken) ** 0.5 if broken > kept * near else None

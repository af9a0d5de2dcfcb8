"""Looks for better settings one knob at a time; what is best is measured, not known.

A candidate is judged by the capacity of each task under the objective, against the settings that
the search began with. Knobs are turned in order, and a value is kept only when it is worth it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

# Less than this is noise, or not worth a setting of its own.
WORTH = 1.03

Values = Mapping[str, int]
Capacities = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Knob:
    """A setting and the values to try."""

    name: str
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class Trial:
    """What one candidate can do: requests a second by task, 0 where it cannot keep the objective.

    `score` is the geometric mean of its capacities over those of the start; the start has 1.
    """

    settings: Values
    capacities: Capacities
    score: float


@dataclass(slots=True)
class Tuning:
    """Every trial in order; the first is the start."""

    trials: list[Trial]
    best: Trial
    # the start and the best once more, in turns, so that drift does not pass for an improvement
    checks: list[tuple[Trial, Trial]] = field(default_factory=list)

    @property
    def gain(self) -> float:
        """How much more the best can do than the start, by the checks; 1 without a better one."""
        if not self.checks:
            return 1.0
        return _mean([best.score / start.score for start, best in self.checks if start.score])


async def tune(
    measure: Callable[[Values], Awaitable[Capacities]],
    start: Values,
    knobs: Sequence[Knob],
    *,
    tell: Callable[[Trial], None] = lambda trial: None,
    checks: int = 2,
) -> Tuning:
    """Measure the start, turn one knob after another, and check what came out against the start."""
    judge = _Judge(measure, tell)
    first = await judge.attempt(start)
    found = Tuning([first], first)
    best = first
    for knob in knobs:
        best = await _turn(judge, knob, best, found.trials)
    if best is not first:
        for _ in range(checks):
            pair = await judge.attempt(start), await judge.attempt(best.settings)
            found.checks.append(pair)
        if found.gain > WORTH:
            found.best = best
    return found


async def _turn(judge: _Judge, knob: Knob, best: Trial, trials: list[Trial]) -> Trial:
    """Try the values of one knob; the best of them, or what was best before."""
    for value in knob.values:
        settings = {**best.settings, knob.name: value}
        if any(trial.settings == settings for trial in trials):
            continue
        trial = await judge.attempt(settings)
        trials.append(trial)
        if trial.score > best.score * WORTH:
            best = trial
    return best


@dataclass(slots=True)
class _Judge:
    """Measures candidates against the first one."""

    measure: Callable[[Values], Awaitable[Capacities]]
    tell: Callable[[Trial], None]
    reference: Capacities | None = None

    async def attempt(self, settings: Values) -> Trial:
        """Measure, score, tell."""
        capacities = dict(await self.measure(settings))
        self.reference = self.reference or capacities
        trial = Trial(dict(settings), capacities, score(capacities, self.reference))
        self.tell(trial)
        return trial


def score(capacities: Capacities, reference: Capacities) -> float:
    """The geometric mean of the ratios; 0 when a task cannot keep the objective at all."""
    if not all(capacities.values()):
        return 0.0
    # a task that the start could not serve in time counts for nothing, whatever it gained
    return _mean([capacities[task] / base for task, base in reference.items() if base])


def _mean(ratios: Sequence[float]) -> float:
    if not ratios or not all(ratios):
        return 1.0 if not ratios else 0.0
    return math.exp(sum(map(math.log, ratios)) / len(ratios))

"""One bench: warm up, then one or more loads after another, each with its summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from service.load.capacity import Capacity, Slo, find_capacity
from service.load.drive import connect_to, run_closed, run_open
from service.load.errors import LoadError
from service.load.rates import readable
from service.load.samples import OK, Samples, Summary, summarise
from service.load.schedule import poisson
from service.load.target import Target

CLIENTS = 32
# Where the search begins, as a share of what a closed loop reaches.
FIRST_GUESS = 0.7


@dataclass(frozen=True, slots=True)
class Load:
    """One row of the table: what was sent, and what came of it."""

    title: str
    seen: Summary


@dataclass(slots=True)
class Bench:
    """Sends requests to a target; tells `begin` of each load and `answered` of each answer."""

    target: Target
    requests: Sequence[bytes]
    seconds: float = 10.0
    slo: Slo | None = None
    seed: int = 0
    begin: Callable[[str, float], None] = lambda title, seconds: None
    answered: Callable[[int], None] = lambda status: None
    _trials: int = field(default=0)

    async def warm_up(self, seconds: float) -> None:
        """One client for so long; LoadError unless it gets a 200."""
        self.begin("warm-up", seconds)
        samples, _ = await self._closed(1, seconds)
        if OK not in samples.status:
            statuses = sorted(set(samples.status))
            raise LoadError(
                f"{self.target.url} answers {', '.join(map(str, statuses))} instead of 200; "
                "is it the right server, task and model?"
            )

    async def closed(self, clients: int) -> Load:
        """Each client asks again when it has its answer."""
        title = f"{clients} client{'s' * (clients > 1)}"
        self.begin(title, self.seconds)
        samples, took_s = await self._closed(clients, self.seconds)
        return Load(title, summarise(samples, took_s, slo_s=self._slo_s))

    async def open(self, rate: float) -> Load:
        """Poisson arrivals at this rate, for long enough to judge the objective by."""
        seconds = self.slo.seconds(rate, self.seconds) if self.slo else self.seconds
        self._trials += 1
        schedule = poisson(rate, seconds, self.seed + self._trials)
        return await self.scheduled(f"{readable(rate)}/s", schedule, seconds)

    async def scheduled(self, title: str, schedule: Sequence[float], seconds: float) -> Load:
        """Whatever the schedule says."""
        self.begin(title, seconds)
        samples = await run_open(
            connect_to(self.target), self.requests, schedule, on_answer=self.answered
        )
        seen = summarise(samples, seconds, offered=len(schedule), slo_s=self._slo_s)
        return Load(title, seen)

    async def capacity(
        self, start: float | None = None, *, stride: float = 2.0, near: float = 1.05
    ) -> Capacity:
        """The highest rate that keeps the objective, from `start` or a guess."""
        assert self.slo is not None
        guess = start or FIRST_GUESS * max((await self.closed(CLIENTS)).seen.ok_per_s, 1.0)

        async def measure(rate: float) -> Summary:
            return (await self.open(rate)).seen

        return await find_capacity(measure, self.slo, guess, stride=stride, near=near)

    async def _closed(self, clients: int, seconds: float) -> tuple[Samples, float]:
        return await run_closed(
            connect_to(self.target),
            self.requests,
            clients=clients,
            seconds=seconds,
            on_answer=self.answered,
        )

    @property
    def _slo_s(self) -> float | None:
        return self.slo.latency_s if self.slo else None

"""A fleet of pods under a trace of arrivals, with or without an autoscaler, second by second."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

import numpy as np

from bench.scaling.arrivals import Trace, draw
from bench.scaling.autoscaler import (
    SYNC_S,
    Autoscaler,
    Behaviour,
    Kind,
    wanted_of_pods,
    wanted_of_total,
)
from bench.scaling.pod import Outcome, Pod, Server

STEP_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """Which metrics an autoscaler follows, and how it comes to know them.

    `targets` are per pod, of "seconds" (slipway_estimated_queue_seconds) and of "depth"
    (slipway_queue_depth); with both, the one that wants more pods wins.
    """

    targets: Mapping[str, float]
    kind: Kind = "keda"
    behaviour: Behaviour = field(default_factory=Behaviour)
    scrape_s: float = 15.0
    average_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One simulated case. `start_s` is from the decision for a pod until it takes traffic."""

    server: Server
    trace: Trace
    seconds: float
    replicas: int
    shares: tuple[float, ...]
    scaling: Scaling | None = None
    start_s: float = 20.0
    stop_s: float = 15.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """The fleet at one moment."""

    at_s: float
    rate: float
    pods: int
    ready: int
    waiting: int
    queue_s: float


@dataclass(slots=True)
class Result:
    """What a case led to. `pod_s` counts pods from their creation to their end."""

    outcome: Outcome
    samples: list[Sample]
    pod_s: float = 0.0

    def latency_ms(self, share: float) -> float:
        """What this share of the answers takes at most."""
        found = np.frombuffer(self.outcome.latencies_s)
        return float(np.quantile(found, share)) * 1000.0 if len(found) else 0.0

    @property
    def pod_hours(self) -> float:
        return self.pod_s / 3600.0


def simulate(plan: Plan, progress: Callable[[float], None] | None = None) -> Result:
    """Run a case to the end of its trace, and the pods until their queues are empty.

    The same plan gives the same result. `progress` is told the simulated seconds of each step.
    """
    fleet = _Fleet(plan)
    for begin_s in np.arange(0.0, plan.seconds, STEP_S):
        end_s = min(begin_s + STEP_S, plan.seconds)
        fleet.step(float(begin_s), float(end_s))
        if progress is not None:
            progress(end_s - begin_s)
    return fleet.finish()


class _Fleet:
    """The pods, the balancer that chooses at random, and what Prometheus knows of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        # one for the load, the same whatever the fleet does, and one for the balancer
        self._random, self._balance = map(np.random.default_rng, ((plan.seed, 0), (plan.seed, 1)))
        self._result = Result(Outcome(), [])
        self._numbers: dict[Pod, int] = {}
        self._pods = [self._new(0.0) for _ in range(plan.replicas)]
        self._scaler = Autoscaler(plan.scaling.behaviour) if plan.scaling else None
        scraped = plan.scaling.average_s // plan.scaling.scrape_s if plan.scaling else 1
        self._scrapes: deque[dict[int, dict[str, float]]] = deque(maxlen=int(scraped))

    def step(self, begin_s: float, end_s: float) -> None:
        """One second of arrivals, then whatever the control plane does at its end."""
        plan = self._plan
        arrivals = draw(plan.trace.rate, begin_s, end_s, self._random)
        lengths = self._random.choice(len(plan.shares), len(arrivals), p=plan.shares)
        ready = [pod for pod in self._pods if pod.ready_s <= begin_s]
        chosen = self._balance.integers(len(ready), size=len(arrivals))
        for number, pod in enumerate(ready):
            mine = chosen == number
            pod.run(arrivals[mine].tolist(), lengths[mine].tolist(), end_s)
        self._result.pod_s += len(self._pods) * (end_s - begin_s)
        if plan.scaling is None:
            if end_s % SYNC_S == 0:
                self._sample(end_s)
            return
        if end_s % plan.scaling.scrape_s == 0:
            self._scrape(end_s)
        if end_s % SYNC_S == 0:
            self._sync(end_s, plan.scaling)
            self._sample(end_s)

    def finish(self) -> Result:
        """Let everything that waits come to its end."""
        for pod in self._pods:
            pod.run((), (), inf)
        return self._result

    def _new(self, ready_s: float) -> Pod:
        pod = Pod(self._plan.server, self._result.outcome, ready_s)
        self._numbers[pod] = len(self._numbers)
        return pod

    def _ready(self, now_s: float) -> list[Pod]:
        return [pod for pod in self._pods if pod.ready_s <= now_s]

    def _scrape(self, now_s: float) -> None:
        self._scrapes.append(
            {
                self._numbers[pod]: {"seconds": pod.queue_s, "depth": float(pod.waiting)}
                for pod in self._ready(now_s)
            }
        )

    def _sync(self, now_s: float, scaling: Scaling) -> None:
        assert self._scaler is not None
        wanted = list(self._wanted(now_s, scaling))
        chosen = self._scaler.decide(now_s, len(self._pods), wanted)
        for _ in range(chosen - len(self._pods)):
            self._pods.append(self._new(now_s + self._plan.start_s))
        for _ in range(len(self._pods) - chosen):
            self._remove(now_s)

    def _wanted(self, now_s: float, scaling: Scaling) -> Iterator[int]:
        ready = [self._numbers[pod] for pod in self._ready(now_s)]
        current = len(self._pods)
        for signal, target in scaling.targets.items():
            averages = self._averages(signal)
            if scaling.kind == "keda":
                yield wanted_of_total(sum(averages.values()), target, current)
            else:
                known = {number: averages[number] for number in ready if number in averages}
                missing, unready = len(ready) - len(known), current - len(ready)
                yield wanted_of_pods(known, missing, unready, target, current)

    def _averages(self, signal: str) -> dict[int, float]:
        """What avg_over_time gives for each pod that was scraped within the time."""
        seen: dict[int, list[float]] = {}
        for scrape in self._scrapes:
            for number, values in scrape.items():
                seen.setdefault(number, []).append(values[signal])
        return {number: sum(values) / len(values) for number, values in seen.items()}

    def _remove(self, now_s: float) -> None:
        """The youngest goes first, as a ReplicaSet does it; it answers what it has."""
        pod = self._pods.pop()
        pod.run((), (), inf)
        self._result.pod_s += max(self._plan.stop_s, pod.idle_s - now_s)

    def _sample(self, now_s: float) -> None:
        pods = self._pods
        self._result.samples.append(
            Sample(
                now_s,
                self._plan.trace.rate(now_s),
                len(pods),
                len(self._ready(now_s)),
                sum(pod.waiting for pod in pods),
                sum(pod.queue_s for pod in pods),
            )
        )

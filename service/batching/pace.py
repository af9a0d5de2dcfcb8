"""How much of a worker's time an item will take: what admission and `Retry-After` are made of."""

from __future__ import annotations

from threading import Lock
from typing import Protocol

from service.batching.cost import LatencyModel

MEMORY = 0.9


class Pace(Protocol):
    """Learns from work that is done. Safe for threads; 0.0 while nothing is known."""

    @property
    def trusted(self) -> bool:
        """Whether enough was measured to turn anybody away for it."""
        ...

    def share_s(self, cost: int) -> float:
        """Seconds of one worker that an item of this cost takes when there is company."""
        ...

    def run_s(self, size: int, cost: int) -> float:
        """Seconds from leaving the queue to the answer, in a batch of `size` items of at most this
        cost."""
        ...


class BatchPace:
    """The pace of a model that runs whole batches of up to `most` items."""

    def __init__(self, model: LatencyModel, most: int) -> None:
        self._model = model
        self._most = most

    @property
    def trusted(self) -> bool:
        """See `Pace`."""
        return self._model.trusted

    def share_s(self, cost: int) -> float:
        """See `Pace`."""
        return self._model.seconds(self._most, cost) / self._most

    def run_s(self, size: int, cost: int) -> float:
        """See `Pace`."""
        return self._model.seconds(min(size, self._most), cost)


class StreamPace:
    """The pace of a model that items join and leave: seconds by cost, of work and of stay.

    Work and cost fade alike, so that an answer counts by its cost and not by its number.
    """

    def __init__(self) -> None:
        self._lock = Lock()  # for those who measure; who reads between two sums is off by little
        self._cost = 0.0
        self._work_s = 0.0
        self._stay_s = 0.0

    @property
    def trusted(self) -> bool:
        """See `Pace`."""
        return self._cost > 0.0

    def measured(self, cost: int, work_s: float, stay_s: float) -> None:
        """Items of `cost` in all were answered after `work_s` of work; they stayed `stay_s` in all.

        `work_s` is the worker's time since the answers before, whoever it went to.
        """
        with self._lock:
            self._cost = MEMORY * self._cost + cost
            self._work_s = MEMORY * self._work_s + work_s
            self._stay_s = MEMORY * self._stay_s + stay_s

    def share_s(self, cost: int) -> float:
        """See `Pace`."""
        return cost * self._work_s / self._cost if self._cost else 0.0

    def stay_s(self, cost: int) -> float:
        """Seconds from leaving the queue to the answer, beside those that are usually there."""
        return cost * self._stay_s / self._cost if self._cost else 0.0

    def run_s(self, size: int, cost: int) -> float:
        """See `Pace`; `size` changes nothing, since its company is there anyway."""
        return self.stay_s(cost)

"""What a front end knows of the engine's doors: a refusal stands for all who ask for as much, until
the engine says that something has changed. They need not be read and sent to be told so.
"""

from typing import NamedTuple

from service.batching.policy import Priority
from service.batching.reception import LEAST_COST, Weigh
from service.errors import ServiceError

# By the time an item reaches the engine it has a little less than it came with.
ON_THE_WAY = 1.1


class Shut(NamedTuple):
    """Refused is who costs no less and has no more time than this one had at the engine."""

    error: ServiceError
    cost: int
    spare_s: float


class EngineDoor:
    """The door of one model, as it was told last."""

    def __init__(self) -> None:
        self._shut: dict[Priority, Shut] = {}

    def shut(self, priority: Priority, error: ServiceError, cost: int, spare_s: float) -> None:
        """The engine refused an item of this cost, `spare_s` before its deadline."""
        self._shut[priority] = Shut(error, cost, spare_s)

    def open(self) -> None:
        """Whoever comes is to ask the engine."""
        self._shut.clear()

    def refusal(self, priority: Priority, spare_s: float, weigh: Weigh) -> ServiceError | None:
        """Why the engine would refuse who asks this; None if it must be asked."""
        shut = self._shut.get(priority)
        if shut is None or spare_s > ON_THE_WAY * shut.spare_s:
            return None
        return shut.error if shut.cost <= LEAST_COST or shut.cost <= weigh() else None

    def refused_from(self, error: ServiceError) -> int | None:
        """From which cost on all who ask the same are told this; None where that is over."""
        for shut in self._shut.values():
            if shut.error is error:
                return shut.cost
        return None

"""A latency model that learns nothing, so that a test can foresee in whole seconds; who waits."""

import asyncio
from typing import Any

from service.batching.batcher import Batcher
from service.batching.cost import LatencyModel, Parts
from service.batching.policy import Priority
from service.batching.queueing import Claim, QueuedItem, Submission
from tests.batching.doubles import GatedRunner, turn


class Known(LatencyModel):
    """Knows its parts from the start, and never changes its mind."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.parts = parts

    @property
    def trusted(self) -> bool:
        return True

    def measured(self, size: int, length: int, seconds: float) -> None:
        """Learn nothing."""


A_SECOND_EACH = Parts(row_s=1.0)
FAR = 1e6
ONE_BY_ONE = {"max_batch_size": 1, "latency": Known(A_SECOND_EACH)}


def submitted(batcher: Batcher[int, Any], part: int, **how: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(batcher.submit(part, **({"deadline": FAR} | how)))


async def busy(
    batcher: Batcher[int, Any], runner: GatedRunner, *waiting: int
) -> list[asyncio.Task[Any]]:
    """Item 0 runs, and the others wait."""
    tasks = [submitted(batcher, 0)]
    await runner.entered()
    tasks += [submitted(batcher, part) for part in waiting]
    await turn()
    return tasks


def item(part: int, cost: int, priority: Priority = "interactive") -> QueuedItem[int]:
    """One that somebody waits for."""
    answer = asyncio.get_running_loop().create_future()
    submission: Submission[int] = Submission(answer, FAR, True, [None], 1)
    return QueuedItem(part, cost, 0.0, [Claim(submission, 0)], priority, share_s=float(cost))

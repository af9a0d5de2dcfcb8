"""Decodes images in a front end, so that the engine's workers need not.

What takes microseconds is decoded at once; the rest waits in a queue of its own, with the rules of
every queue: what would be late is refused, and who leaves costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from service.batching.batcher import Batcher
from service.batching.isolation import answer_each, outcome_of
from service.batching.observer import NoObserver
from service.batching.policy import BatchPolicy, Priority
from service.batching.surroundings import Surroundings
from service.metrics import ItemOutcome, ModelMetrics
from service.repository.latency import measure_preparing
from service.repository.options import LoadOptions
from service.tasks.registry import AnyTask


class _Losses(NoObserver):
    """Counts the items that do not get as far as the engine, which counts all others."""

    def __init__(self, metrics: ModelMetrics) -> None:
        self._metrics = metrics

    def items_ended(self, outcome: ItemOutcome, count: int) -> None:
        """See `BatchObserver`."""
        if outcome != "ok":
            self._metrics.items_ended(outcome, count)


class Preparing:
    """Images as they came in, images that are decoded out. Measures first how long that takes."""

    def __init__(self, task: AnyTask, metrics: ModelMetrics, options: LoadOptions) -> None:
        self._task = task
        self._metrics = metrics
        self._losses = _Losses(metrics)
        self._queue: Batcher[Any, Any] = Batcher(
            self._run,
            BatchPolicy(
                max_batch_size=1,
                max_queue_size=options.max_queue_size,
                max_queue_s=options.max_queue_s,
            ),
            workers=options.workers or 1,
            observer=self._losses,
            name="decode",
            surroundings=Surroundings(latency=measure_preparing(task)),
        )

    async def prepare(
        self, parts: Sequence[Any], *, deadline_s: float, priority: Priority
    ) -> list[Any]:
        """Each part prepared, or the ServiceError that it is to its client, in order.

        Raises as `Batcher.submit_each`.
        """
        if all(map(self._task.is_quick, parts)):
            return [self._at_once(part) for part in parts]
        return await self._queue.submit_each(
            parts,
            costs=[self._task.cost(part) for part in parts],
            deadline=deadline_s,
            priority=priority,
        )

    def close(self, timeout_s: float) -> None:
        """Refuse what waits, and give the workers `timeout_s` to end what they do."""
        self._queue.close()
        self._queue.join(timeout_s)

    def _at_once(self, part: Any) -> Any:
        (found,) = answer_each(self._run, [part], lambda place: True)
        if isinstance(found, Exception):
            self._losses.items_ended(outcome_of(found), 1)
        return found

    def _run(self, parts: Sequence[Any]) -> list[Any]:
        began_s = time.perf_counter()
        prepared = [self._task.prepare(part) for part in parts]
        self._metrics.stage_took("decode", time.perf_counter() - began_s)
        return prepared

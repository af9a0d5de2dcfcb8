"""Queues: how many items wait and how long, and how many and how long they may."""

from collections.abc import Callable
from typing import NamedTuple

from service.metrics.series import Maker


class _Queue(NamedTuple):
    depth: Callable[[], int]
    limit: int
    seconds: Callable[[], float]
    limit_s: float


class QueueFamilies:
    """Sums the open queues of each model: while versions change over, two are live."""

    def __init__(self, make: Maker) -> None:
        self._depth = make.gauge("queue_depth", "Items that wait for their batch.", "model")
        self._limit = make.gauge(
            "queue_limit",
            "Items that may wait before one of bulk; before others so many of their own kind.",
            "model",
        )
        self._seconds = make.gauge(
            "estimated_queue_seconds", "Predicted time until all that waits is taken.", "model"
        )
        self._limit_s = make.gauge(
            "queue_limit_seconds",
            "Predicted time beyond which more bulk is refused; of others their own kind counts.",
            "model",
        )
        self._open: dict[str, tuple[_Queue, ...]] = {}

    def open(
        self,
        model: str,
        depth: Callable[[], int],
        limit: int,
        seconds: Callable[[], float],
        limit_s: float,
    ) -> None:
        """From now on both are asked at each scrape, which costs the hot path nothing."""
        self._replace(model, (*self._open.get(model, ()), _Queue(depth, limit, seconds, limit_s)))

    def close(self, model: str, depth: Callable[[], int]) -> None:
        """The queue that was opened with `depth` is gone."""
        self._replace(model, tuple(q for q in self._open.get(model, ()) if q.depth != depth))

    def _replace(self, model: str, queues: tuple[_Queue, ...]) -> None:
        self._open[model] = queues
        self._depth.labels(model).set_function(lambda: sum(queue.depth() for queue in queues))
        self._seconds.labels(model).set_function(lambda: sum(queue.seconds() for queue in queues))
        self._limit.labels(model).set(sum(queue.limit for queue in queues))
        self._limit_s.labels(model).set(sum(queue.limit_s for queue in queues))

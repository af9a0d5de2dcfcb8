"""Queues: how many items wait, and how many may."""

from collections.abc import Callable

from service.metrics.series import Maker


class QueueFamilies:
    """Sums the open queues of each model: while versions change over, two are live."""

    def __init__(self, make: Maker) -> None:
        self._depth = make.gauge("queue_depth", "Items that wait for their batch.", "model")
        self._limit = make.gauge(
            "queue_limit", "Items that may wait before more are refused.", "model"
        )
        self._open: dict[str, tuple[tuple[Callable[[], int], int], ...]] = {}

    def open(self, model: str, depth: Callable[[], int], limit: int) -> None:
        """From now on `depth` is asked at each scrape, which costs the hot path nothing."""
        self._replace(model, (*self._open.get(model, ()), (depth, limit)))

    def close(self, model: str, depth: Callable[[], int]) -> None:
        """The queue that was opened with `depth` is gone."""
        self._replace(model, tuple(q for q in self._open.get(model, ()) if q[0] != depth))

    def _replace(self, model: str, queues: tuple[tuple[Callable[[], int], int], ...]) -> None:
        self._open[model] = queues
        self._depth.labels(model).set_function(lambda: sum(depth() for depth, _ in queues))
        self._limit.labels(model).set(sum(limit for _, limit in queues))

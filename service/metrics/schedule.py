"""Decisions of the scheduler by model: why batches left, what was shared, what was foreseen."""

from collections.abc import Callable
from typing import get_args

from service.metrics.series import Maker
from service.metrics.words import LookUp, ReleaseReason

RATIO_BUCKETS = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)

REASONS: tuple[ReleaseReason, ...] = get_args(ReleaseReason)
LOOK_UPS: tuple[LookUp, ...] = get_args(LookUp)


class ScheduleFamilies:
    """The series, for all models."""

    def __init__(self, make: Maker) -> None:
        self.releases = make.counter(
            "batch_releases", "Batches by why they were not larger.", "model", "reason"
        )
        self.look_ups = make.counter(
            "shared_items",
            "Items by whether they had to run: hit, shared or miss.",
            "model",
            "result",
        )
        self.stopped = make.counter(
            "runs_stopped", "Runs ended early, since nobody waited for them.", "model"
        )
        self.ratio = make.histogram(
            "batch_predicted_ratio",
            "Seconds of a batch as a share of what was predicted.",
            "model",
            buckets=RATIO_BUCKETS,
        )
        self.latency = make.gauge(
            "latency_model_seconds",
            "Predicted seconds from the queue to the answers of a batch of so many items, the "
            "longest of so many tokens.",
            *("model", "batch", "length"),
        )
        self.work = make.gauge(
            "latency_model_work_seconds",
            "Predicted seconds of a worker that an item of so many tokens takes in company.",
            *("model", "length"),
        )


class ScheduleMetrics:
    """Those of one model, all of which exist from the start."""

    def __init__(self, families: ScheduleFamilies, model: str) -> None:
        self._model = model
        self._latency = families.latency
        self._work = families.work
        self._releases = {reason: families.releases.labels(model, reason) for reason in REASONS}
        self._look_ups = {result: families.look_ups.labels(model, result) for result in LOOK_UPS}
        self._stopped = families.stopped.labels(model)
        self._ratio = families.ratio.labels(model)

    def released(self, reason: ReleaseReason) -> None:
        """A batch left the queue, and this is why it was not larger."""
        self._releases[reason].inc()

    def looked_up(self, result: LookUp) -> None:
        """An item had a stored answer, joined an identical one in flight, or has to run."""
        self._look_ups[result].inc()

    def stopped(self) -> None:
        """A run was ended early."""
        self._stopped.inc()

    def predicted(self, predicted_s: float, seconds: float) -> None:
        """A batch took `seconds`, and `predicted_s` were expected."""
        if predicted_s > 0.0:
            self._ratio.observe(seconds / predicted_s)

    def foresees(self, batch: int, length: int, seconds: Callable[[], float]) -> None:
        """`seconds` is asked at each scrape for the prediction of this shape."""
        self._latency.labels(self._model, batch, length).set_function(seconds)

    def foresees_work(self, length: int, seconds: Callable[[], float]) -> None:
        """`seconds` is asked at each scrape for a worker's time for an item of this length."""
        self._work.labels(self._model, length).set_function(seconds)

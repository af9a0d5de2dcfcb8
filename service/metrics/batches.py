"""Work by model: batches, the items in them, the stages of their way, and how items ended."""

from collections.abc import Sequence
from typing import get_args

from service.metrics.series import Maker
from service.metrics.words import ItemOutcome, Stage

SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

STAGES: tuple[Stage, ...] = get_args(Stage)
OUTCOMES: tuple[ItemOutcome, ...] = get_args(ItemOutcome)


class BatchFamilies:
    """The series, for all models."""

    def __init__(self, make: Maker) -> None:
        self.stage_seconds = make.histogram(
            "stage_duration_seconds", "Time in one stage of the way.", "model", "stage"
        )
        self.size = make.histogram(
            "batch_size", "Items that ran together.", "model", buckets=SIZE_BUCKETS
        )
        self.executions = make.counter("executions", "Batches that ran.", "model")
        self.inferences = make.counter("inferences", "Items that ran.", "model")
        self.items = make.counter("items", "Items by how they ended.", "model", "outcome")
        self.busy = make.gauge("busy_workers", "Worker threads that compute.", "model")
        self.generated_tokens = make.counter("generated_tokens", "Tokens written.", "model")


class BatchMetrics:
    """Those of one model, all of which exist from the start."""

    def __init__(self, families: BatchFamilies, model: str) -> None:
        self._stages = {stage: families.stage_seconds.labels(model, stage) for stage in STAGES}
        self._items = {outcome: families.items.labels(model, outcome) for outcome in OUTCOMES}
        self._size = families.size.labels(model)
        self._executions = families.executions.labels(model)
        self._inferences = families.inferences.labels(model)
        self._busy = families.busy.labels(model)
        self._tokens = families.generated_tokens.labels(model)

    def stage_took(self, stage: Stage, seconds: float) -> None:
        """One item, or one batch where the stage is shared, spent `seconds` in `stage`."""
        self._stages[stage].observe(seconds)

    def tokens_generated(self, count: int) -> None:
        """A generating model wrote `count` more tokens."""
        self._tokens.inc(count)

    def started(self, size: int, waits_s: Sequence[float]) -> None:
        """A batch left the queue; `waits_s` holds what each of its items waited there."""
        self._size.observe(size)
        self._executions.inc()
        self._inferences.inc(size)
        for wait_s in waits_s:
            self._stages["queue"].observe(wait_s)

    def busy(self, by: int) -> None:
        """So many workers more, or with a negative number fewer, compute."""
        self._busy.inc(by)

    def items_ended(self, outcome: ItemOutcome, count: int) -> None:
        """`count` items came to their end."""
        self._items[outcome].inc(count)

"""What one version of one model counts. The batcher reports to it as its observer."""

from collections.abc import Callable, Sequence

from service.metrics.batches import BatchFamilies, BatchMetrics
from service.metrics.life import LifeFamilies, LifeMetrics
from service.metrics.queues import QueueFamilies
from service.metrics.series import Maker
from service.metrics.words import ItemOutcome, Stage


class ModelFamilies:
    """The series that exist once for each model."""

    def __init__(self, make: Maker) -> None:
        self.batches = BatchFamilies(make)
        self.life = LifeFamilies(make)
        self.queues = QueueFamilies(make)


class ModelMetrics:
    """The series of one version of one model. Safe to call from any thread."""

    def __init__(self, families: ModelFamilies, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self._queues = families.queues
        self._batches = BatchMetrics(families.batches, name)
        self._life = LifeMetrics(families.life, name, version)

    def stage_took(self, stage: Stage, seconds: float) -> None:
        """One item, or one batch where the stage is shared, spent `seconds` in `stage`."""
        self._batches.stage_took(stage, seconds)

    def tokens_generated(self, count: int) -> None:
        """A generating model wrote `count` more tokens."""
        self._batches.tokens_generated(count)

    def batch_started(self, size: int, waits_s: Sequence[float]) -> None:
        """A batch left the queue; `waits_s` holds what each of its items waited there."""
        self._batches.started(size, waits_s)

    def items_ended(self, outcome: ItemOutcome, count: int) -> None:
        """`count` items came to their end."""
        self._batches.items_ended(outcome, count)

    def queue_opened(self, depth: Callable[[], int], limit: int) -> None:
        """A queue for `limit` items exists; `depth` tells how many wait in it."""
        self._queues.open(self.name, depth, limit)

    def queue_closed(self, depth: Callable[[], int]) -> None:
        """The queue that was opened with `depth` is gone."""
        self._queues.close(self.name, depth)

    def loaded(self, *, variant: str, providers: Sequence[str], sha256: str) -> None:
        """Tell what serves: the variant, the providers that really run, the graph's digest."""
        self._life.loaded(variant=variant, providers=providers, sha256=sha256)

    def ready(self, is_ready: bool) -> None:
        """Whether this version takes requests."""
        self._life.ready(is_ready)

    def retired(self) -> None:
        """This version is no longer live."""
        self._life.retired()

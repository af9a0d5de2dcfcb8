"""What one version of one model counts. The batcher reports to it as its observer."""

from collections.abc import Callable, Sequence

from service.metrics.batches import BatchFamilies, BatchMetrics
from service.metrics.content import AnswerMetrics, ContentFamilies, TextMetrics
from service.metrics.life import LifeFamilies, LifeMetrics
from service.metrics.queues import QueueFamilies
from service.metrics.schedule import ScheduleFamilies, ScheduleMetrics
from service.metrics.series import Maker
from service.metrics.words import ItemOutcome, LookUp, ReleaseReason, RunTrace, Stage


class ModelFamilies:
    """The series that exist once for each model."""

    def __init__(self, make: Maker) -> None:
        self.batches = BatchFamilies(make)
        self.content = ContentFamilies(make)
        self.life = LifeFamilies(make)
        self.queues = QueueFamilies(make)
        self.schedule = ScheduleFamilies(make)


class ModelMetrics:
    """The series of one version of one model. Safe to call from any thread."""

    def __init__(self, families: ModelFamilies, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self._queues = families.queues
        self._content = families.content
        self._answers: AnswerMetrics | None = None
        self._texts: TextMetrics | None = None
        self._batches = BatchMetrics(families.batches, name)
        self._life = LifeMetrics(families.life, name, version)
        self._schedule = ScheduleMetrics(families.schedule, name)

    def stage_took(self, stage: Stage, seconds: float, run: RunTrace | None = None) -> None:
        """One item, or one batch where the stage is shared, spent `seconds` in `stage`.

        `run` is the batch it belongs to, where that is not the one this thread began last.
        """
        self._batches.stage_took(stage, seconds)

    def tokens_generated(self, count: int) -> None:
        """A generating model wrote `count` more tokens."""
        self._batches.tokens_generated(count)

    def expects(self, *, labels: Sequence[str], texts: bool) -> None:
        """What this model answers, and whether it reads texts: it is counted from now on.

        What it was shown before, to warm up, was nobody's input.
        """
        self._answers = AnswerMetrics(self._content, self.name, labels)
        if texts:
            self._texts = TextMetrics(self._content, self.name)

    def texts_read(self, tokens: Sequence[int], *, truncated: int, unknown: int | None) -> None:
        """Texts of so many `tokens` were read, `truncated` of them not to their end.

        `unknown` tokens are no words of the vocabulary; None where it can write everything.
        """
        if self._texts is not None:
            self._texts.read(tokens, truncated=truncated, unknown=unknown)

    def tokens_ran(self, *, real: int, padding: int) -> None:
        """A batch of `real` tokens ran, with `padding` ones between them."""
        if self._texts is not None:
            self._texts.ran(real=real, padding=padding)

    def answer_given(self, confidence: float, label: str | None = None) -> None:
        """One answer, of this probability; without `label` where the answer is a text."""
        if self._answers is not None:
            self._answers.given(confidence, label)

    def admitted(self) -> object | None:
        """Items were accepted; what is returned comes back with the batch that they run in."""
        return None

    def batch_started(
        self,
        size: int,
        waits_s: Sequence[float],
        reason: ReleaseReason,
        origins: Sequence[object] = (),
    ) -> RunTrace | None:
        """A batch left the queue for `reason`; `waits_s` holds what each of its items waited.

        `origins` are what `admitted` said of its items. Called by the thread that runs the batch.
        """
        self._batches.started(size, waits_s)
        self._schedule.released(reason)
        return None

    def running(self) -> RunTrace | None:
        """The batch that this thread began last, if it is followed."""
        return None

    def batch_predicted(self, predicted_s: float, seconds: float) -> None:
        """A batch took `seconds`, and `predicted_s` were expected."""
        self._schedule.predicted(predicted_s, seconds)

    def item_looked_up(self, result: LookUp) -> None:
        """An item had a stored answer, joined an identical one in flight, or has to run."""
        self._schedule.looked_up(result)

    def run_stopped(self) -> None:
        """A run was ended early, because nobody waited for any of its items any more."""
        self._schedule.stopped()

    def foresees(self, batch: int, length: int, seconds: Callable[[], float]) -> None:
        """`seconds` is asked at each scrape for the predicted time of such a batch; of a model that
        items join and leave, of one item beside those that are usually there."""
        self._schedule.foresees(batch, length, seconds)

    def foresees_work(self, length: int, seconds: Callable[[], float]) -> None:
        """`seconds` is asked at each scrape for a worker's time for an item of this length."""
        self._schedule.foresees_work(length, seconds)

    def busy(self, by: int) -> None:
        """So many workers more, or with a negative number fewer, compute."""
        self._batches.busy(by)

    def items_ended(self, outcome: ItemOutcome, count: int) -> None:
        """`count` items came to their end."""
        self._batches.items_ended(outcome, count)

    def queue_opened(
        self,
        depth: Callable[[], int],
        limit: int,
        seconds: Callable[[], float],
        limit_s: float,
    ) -> None:
        """A queue for `limit` items or `limit_s` of work exists; `depth` and `seconds` tell how
        many wait and how long."""
        self._queues.open(self.name, depth, limit, seconds, limit_s)

    def queue_closed(self, depth: Callable[[], int]) -> None:
        """The queue that was opened with `depth` is gone."""
        self._queues.close(self.name, depth)

    def loaded(self, *, variant: str, providers: Sequence[str], sha256: str) -> None:
        """Tell what serves: the variant, the providers that really run, the graph's digest."""
        self._life.loaded(variant=variant, providers=providers, sha256=sha256)

    def ready(self, is_ready: bool) -> None:
        """Whether this version takes requests."""
        self._life.ready(is_ready)

    def self_tested(self, *, variant: str, provider: str, passed: bool) -> None:
        """A variant was put through its self-test on this provider."""
        self._life.self_tested(variant=variant, provider=provider, passed=passed)

    def retired(self) -> None:
        """This version is no longer live."""
        self._life.retired()

"""One model that answers: its task, its runner and the queue before them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from model_zoo.manifest import Manifest, Precision
from model_zoo.manifest import Task as TaskName
from service.batching.batcher import Batcher, Progress
from service.batching.policy import Priority
from service.batching.reception import Weigh
from service.errors import Cancelled, InferenceFailed, ServiceError
from service.metrics import ModelMetrics, Stage
from service.repository.self_test import SelfTestReport
from service.repository.watching import watch_answer, watch_texts
from service.runtime.runner import Runner
from service.runtime.session import Abort
from service.tasks.registry import AnyTask

FIRST_STAGE: dict[TaskName, Stage] = {
    "image-classification": "decode",
    "text-classification": "tokenize",
    "translation": "tokenize",
}


class Engine:
    """Parts in, predictions out: preprocess, run, postprocess, all in the thread that calls."""

    def __init__(self, task: AnyTask, runner: Runner, metrics: ModelMetrics, first: Stage) -> None:
        self._task = task
        self._runner = runner
        self._metrics = metrics
        self._first = first

    def split(self, raw: Any) -> Sequence[Any]:
        """The parts of one item, each of which is run by itself."""
        return self._task.split(raw)

    def predict_batch(self, parts: Sequence[Any], abort: Abort | None = None) -> list[Any]:
        """One answer a part, in order; an exception in its place where that part is at fault.

        Raises Cancelled once `abort` is set.
        """
        answers: list[Any] = [None] * len(parts)
        began_s = time.perf_counter()
        features = self._preprocess(parts, answers, abort)
        ready_s = time.perf_counter()
        self._metrics.stage_took(self._first, ready_s - began_s)
        if not features:
            return answers
        watch_texts(self._metrics, features.values(), padded=True)
        rows = self._runner.run(list(features.values()), abort)
        ran_s = time.perf_counter()
        self._metrics.stage_took("inference", ran_s - ready_s)
        if len(rows) != len(features):
            raise InferenceFailed(f"The model gave {len(rows)} rows for {len(features)} items.")
        for (place, found), row in zip(features.items(), rows, strict=True):
            answers[place] = self._postprocess(found, row)
        self._metrics.stage_took("postprocess", time.perf_counter() - ran_s)
        return answers

    def _preprocess(
        self, parts: Sequence[Any], answers: list[Any], abort: Abort | None
    ) -> dict[int, Any]:
        """Features by place; where a part has none, its error is put into `answers`."""
        features: dict[int, Any] = {}
        for place, part in enumerate(parts):
            if abort is not None and abort.is_set():  # a few bytes can be an image of half a second
                raise Cancelled("nobody waits for this answer any more")
            try:
                found = self._task.preprocess(part)
                self._runner.check(found)
            except Exception as error:  # the batcher logs what is no ServiceError
                answers[place] = error
            else:
                features[place] = found
        return features

    def _postprocess(self, features: Any, row: Any) -> Any:
        try:
            answer = self._task.postprocess(features, row)
        except Exception as error:  # the batcher logs what is no ServiceError
            return error
        watch_answer(self._metrics, answer)
        return answer


class Queue(Protocol):
    """Where parts of items get their answers: a `Batcher` here, or in another process."""

    @property
    def most_parts(self) -> int:
        """The most parts that one call may bring."""
        ...

    async def submit_each(
        self,
        parts: Sequence[Any],
        *,
        costs: Sequence[int] | None = None,
        deadline: float,
        priority: Priority = "interactive",
        on_progress: Progress | None = None,
    ) -> list[Any]:
        """See `Batcher.submit_each`."""
        ...

    def refusal(
        self, priority: Priority, spare_s: float, weigh: Weigh = ...
    ) -> ServiceError | None:
        """See `Batcher.refusal`."""
        ...

    def refuses_again(self, error: ServiceError) -> bool:
        """See `Batcher.refuses_again`."""
        ...

    def refused_from(self, error: ServiceError) -> int | None:
        """See `Batcher.refused_from`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A version of a model as far as a request sees it: where it runs is not told."""

    manifest: Manifest
    variant: Precision
    task: AnyTask
    batcher: Queue

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The version, as the API writes it."""
        return str(self.manifest.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveModel(ServedModel):
    """A version that is loaded in this process; `placement` counts graph nodes by provider,
    `self_tests` tells which variants were tried before, and last the one that serves. Its graphs
    are `written_anew` where this processor computes the same faster in another form."""

    batcher: Batcher[Any, Any]
    placement: Mapping[str, int]
    runner: Runner
    metrics: ModelMetrics
    self_tests: tuple[SelfTestReport, ...] = ()
    written_anew: bool = False

    def close(self, timeout_s: float = 0.0) -> None:
        """Refuse what waits, and give the workers `timeout_s` to end the batch that they run."""
        self.batcher.close()
        if self.batcher.join(timeout_s):
            self.runner.close()
        self.metrics.retired()

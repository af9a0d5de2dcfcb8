"""Models that run in the engine, as a front end sees them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from model_zoo.catalog import Catalog
from model_zoo.manifest import Manifest
from service.batching.batcher import Progress
from service.batching.policy import Priority
from service.batching.reception import LEAST_COST, Weigh
from service.errors import ServiceError
from service.link.doors import EngineDoor
from service.link.front import EngineAway, EngineLink, Told
from service.link.preparing import Preparing
from service.metrics import Metrics, ModelMetrics
from service.repository.live import ServedModel
from service.repository.models import BrokenModel, Models
from service.repository.options import LoadOptions
from service.tasks.registry import AnyTask, make_task

log = logging.getLogger("slipway.link")

DESCRIBE_S = 5.0
CHANGED = "A front end cannot read its files, which the engine could; the log says why."


@dataclass(frozen=True, slots=True)
class RemoteQueue:
    """The queue of one model in the engine; see `Queue`.

    Only the engine knows what waits: refused is who asks for as much as one whom it has refused.
    """

    engine: EngineLink
    told: Told
    manifest: Manifest
    task: AnyTask
    metrics: ModelMetrics
    preparing: Preparing | None = None

    @property
    def most_parts(self) -> int:
        """See `Queue`."""
        return self.told.most_parts

    async def submit_each(
        self,
        parts: Sequence[Any],
        *,
        costs: Sequence[int] | None = None,
        deadline: float,
        priority: Priority = "interactive",
        on_progress: Progress | None = None,
    ) -> list[Any]:
        """See `Batcher.submit_each`; raises EngineAway, too."""
        answers: list[Any] = list(parts)
        if self.preparing is not None:
            answers = await self.preparing.prepare(parts, deadline_s=deadline, priority=priority)
            costs = None
        places = [n for n, part in enumerate(answers) if not isinstance(part, ServiceError)]
        if not places:
            return answers
        asked = [answers[place] for place in places]
        try:
            found = await self.engine.ask(
                self.told,
                self.manifest,
                asked,
                costs or [self.task.cost(part) for part in asked],
                deadline_s=deadline,
                priority=priority,
                on_progress=on_progress,
            )
        except EngineAway:
            self.metrics.items_ended("failed", len(asked))
            raise
        for place, answer in zip(places, found, strict=True):
            answers[place] = answer
        return answers

    def refusal(
        self, priority: Priority, spare_s: float, weigh: Weigh = lambda: LEAST_COST
    ) -> ServiceError | None:
        """See `Queue`."""
        error = self._door.refusal(priority, spare_s, weigh)
        if error is not None:
            self.metrics.items_ended("shed", 1)
        return error

    def refuses_again(self, error: ServiceError) -> bool:
        """See `Queue`."""
        cost = self.refused_from(error)
        stands = cost is not None and cost <= LEAST_COST
        if stands:
            self.metrics.items_ended("shed", 1)
        return stands

    def refused_from(self, error: ServiceError) -> int | None:
        """See `Queue`."""
        return self._door.refused_from(error)

    @property
    def _door(self) -> EngineDoor:
        return self.engine.door(self.told.name, self.told.version)


class RemoteModels:
    """Keeps `models` what the engine at `path` says is live; also an `Inventory` of them."""

    def __init__(
        self,
        path: Path,
        models: Models,
        *,
        catalog: Catalog,
        options: LoadOptions,
        metrics: Metrics,
    ) -> None:
        self._models = models
        self._catalog = catalog
        self._options = options
        self._metrics = metrics
        self._engine = EngineLink(path, self._meet, lost=partial(self._tell_ready, False))
        self._met = asyncio.Event()
        self._told: tuple[Told, ...] = ()
        self._opening: asyncio.Task[None] | None = None
        self._preparing: list[Preparing] = []

    async def keep(self) -> None:
        """Hold the link to the engine; run it as a task."""
        await self._engine.keep()

    async def met(self) -> None:
        """Return when the models of an engine can be asked."""
        await self._met.wait()

    def require_engine(self) -> None:
        """Raise NotReady while there is none."""
        self._engine.require_engine()

    async def versions(self) -> list[dict[str, Any]]:
        """See `Inventory`; raises EngineAway."""
        return await self._engine.describe(DESCRIBE_S)

    def close(self, timeout_s: float) -> None:
        """Refuse what waits to be decoded; blocks for `timeout_s` at most, for each model."""
        for preparing in self._preparing:
            preparing.close(timeout_s)

    def _meet(self, live: Sequence[Told], broken: Sequence[BrokenModel]) -> None:
        if self._told == tuple(live):  # as an engine that was replaced mostly has them
            self._tell_ready(True)
            return
        self._told = tuple(live)
        self._opening = asyncio.create_task(self._open_all(live, broken))

    async def _open_all(self, live: Sequence[Told], broken: Sequence[BrokenModel]) -> None:
        found = await asyncio.to_thread(lambda: [self._try_to_open(told) for told in live])
        self._models.serve(
            [model for model in found if isinstance(model, ServedModel)],
            [*broken, *(model for model in found if isinstance(model, BrokenModel))],
        )
        self._tell_ready(True)
        self._met.set()

    def _tell_ready(self, is_ready: bool) -> None:
        for model in self._models.live:
            self._metrics.model(model.name, model.version).ready(is_ready)

    def _try_to_open(self, told: Told) -> ServedModel | BrokenModel:
        try:
            return self._open(told)
        except Exception as error:  # whatever a file that changed makes its readers raise
            extra = {"model": told.name, "version": str(told.version)}
            log.error("cannot read a model of the engine", exc_info=error, extra=extra)
            return BrokenModel(told.name, str(told.version), CHANGED)

    def _open(self, told: Told) -> ServedModel:
        published = self._catalog.open(told.name, told.version)
        manifest = published.manifest
        task = make_task(manifest, published.read, self._options.image_limits)
        metrics = self._metrics.model(told.name, told.version)
        preparing = None
        if manifest.task == "image-classification":
            preparing = Preparing(task, metrics, self._options)
            self._preparing.append(preparing)
        queue = RemoteQueue(self._engine, told, manifest, task, metrics, preparing)
        return ServedModel(manifest=manifest, variant=told.variant, task=task, batcher=queue)

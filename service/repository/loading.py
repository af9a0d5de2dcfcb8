"""From a folder on disk to a model that answers: verify, open, warm up."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from model_zoo.catalog import Catalog, ModelRef, PublishedModel
from model_zoo.errors import ModelZooError
from model_zoo.manifest import Manifest, Precision
from service.batching.batcher import Batcher
from service.batching.isolation import RunBatch
from service.batching.policy import BatchPolicy
from service.batching.stream import Streaming
from service.errors import ServiceError
from service.metrics import Metrics, ModelMetrics
from service.repository.live import FIRST_STAGE, Engine, LiveModel
from service.repository.models import BrokenModel
from service.repository.streaming import DecodeStream
from service.repository.warm_up import warm_up
from service.runtime.errors import EngineError
from service.runtime.generate import Generator
from service.runtime.providers import Choice, choose_variant, cpu_features, parse_providers
from service.runtime.runner import Runner, make_runner
from service.runtime.session import usable_providers
from service.runtime.threads import available_cpus
from service.tasks.images import ImageLimits
from service.tasks.registry import AnyTask, make_task

log = logging.getLogger("slipway.repository")

# How many waiting items are compared by length to fill a batch, in batches.
LOOK_AHEAD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How models are opened and queued; the names of the knobs are Triton's."""

    providers: str = "auto"
    strict_providers: bool = False
    precision: Precision | None = None
    max_batch_size: int = 32
    max_queue_delay_s: float = 0.0
    max_queue_size: int = 256
    workers: int | None = None
    image_limits: ImageLimits = field(default_factory=ImageLimits)

    def policy(self, manifest: Manifest) -> BatchPolicy:
        """The rules of this model's queue: texts travel with others of their length."""
        texts = manifest.task != "image-classification"
        return BatchPolicy(
            max_batch_size=self.max_batch_size,
            max_queue_size=self.max_queue_size,
            max_queue_delay_s=self.max_queue_delay_s,
            look_ahead=LOOK_AHEAD * self.max_batch_size if texts else 0,
        )


async def load_all(
    catalog: Catalog, options: LoadOptions, metrics: Metrics
) -> tuple[list[LiveModel], list[BrokenModel]]:
    """Every version in the catalog, all at the same time and off the event loop.

    What cannot be loaded is returned with its reason. Raises ModelNotFound without a catalog.
    """
    found = await asyncio.to_thread(catalog.list)
    loads = (asyncio.to_thread(_try_to_load, catalog, ref, options, metrics) for ref in found)
    results = await asyncio.gather(*loads)
    live = [result for result in results if isinstance(result, LiveModel)]
    return live, [result for result in results if isinstance(result, BrokenModel)]


def load(published: PublishedModel, options: LoadOptions, metrics: Metrics) -> LiveModel:
    """One model, warm and with its worker threads running. Blocks; raises what is wrong."""
    manifest = published.manifest
    choice = choose_variant(
        manifest.variants,
        parse_providers(options.providers, usable_providers()),
        usable=usable_providers(),
        features=cpu_features(),
        precision=options.precision,
        strict=options.strict_providers,
    )
    published.verify()
    task = make_task(manifest, published.read, options.image_limits)
    runner = make_runner(
        manifest,
        {graph.role: published.read(graph.file) for graph in choice.variant.graphs},
        providers=choice.providers,
        threads=1,  # each worker runs batches of its own, which scales better than sharing one
        strict=options.strict_providers,
    )
    of_model = metrics.model(manifest.name, manifest.version)
    engine = Engine(task, runner, of_model, FIRST_STAGE[manifest.task])
    warm_up(engine, manifest, options.max_batch_size)
    live = LiveModel(
        manifest=manifest,
        variant=choice.variant.precision,
        placement=dict(runner.placement),
        task=task,
        runner=runner,
        batcher=Batcher(
            _manner(task, runner, of_model, engine),
            options.policy(manifest),
            workers=options.workers or available_cpus(),
            observer=of_model,
            name=manifest.name,
        ),
        metrics=of_model,
    )
    _announce(live, choice)
    return live


def _manner(
    task: AnyTask, runner: Runner, metrics: ModelMetrics, engine: Engine
) -> RunBatch[Any, Any] | Streaming[Any, Any]:
    """Batch by batch, or continuously where the runner works step by step."""
    if isinstance(runner, Generator):
        return Streaming(lambda: DecodeStream(task, runner, metrics))
    return engine.predict_batch


def _announce(live: LiveModel, choice: Choice) -> None:
    live.metrics.loaded(
        variant=live.variant,
        providers=tuple(live.placement),
        sha256=choice.variant.graphs[0].sha256,
    )
    live.metrics.ready(True)


def _try_to_load(
    catalog: Catalog, ref: ModelRef, options: LoadOptions, metrics: Metrics
) -> LiveModel | BrokenModel:
    began_s = time.perf_counter()
    try:
        live = load(catalog.open(ref.name, ref.version), options, metrics)
    except Exception as error:  # whatever a broken file makes a parser raise, the others serve
        metrics.model_load_ended(ok=False, seconds=time.perf_counter() - began_s)
        foreseen = isinstance(error, ModelZooError | EngineError | ServiceError)
        log.error(
            "cannot load a model",
            exc_info=None if foreseen else error,
            extra={"model": ref.name, "version": str(ref.version), "reason": str(error)},
        )
        return BrokenModel(ref.name, str(ref.version), _reason(error, catalog))
    seconds = time.perf_counter() - began_s
    metrics.model_load_ended(ok=True, seconds=seconds)
    log.info(
        "model loaded",
        extra={
            "model": live.name,
            "version": live.version,
            "variant": live.variant,
            "providers": live.placement,
            "seconds": round(seconds, 3),
        },
    )
    return live


def _reason(error: Exception, catalog: Catalog) -> str:
    said = error.detail if isinstance(error, ServiceError) else str(error)
    # Clients may read the reason: where the files lie is not their matter.
    return (said or type(error).__name__).replace(f"{catalog.root}/", "")

"""From a folder on disk to a model that answers: verify, open, warm up."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from model_zoo.catalog import Catalog, ModelRef, PublishedModel
from model_zoo.errors import ModelZooError
from model_zoo.manifest import Manifest, Role
from service.errors import ServiceError
from service.metrics import Metrics, ModelMetrics
from service.repository.live import FIRST_STAGE, Engine, LiveModel
from service.repository.models import BrokenModel
from service.repository.options import LoadOptions
from service.repository.scheduling import Works, make_batcher
from service.repository.self_test import SelfTestReport, broken, self_test
from service.repository.warm_up import warm_up
from service.repository.watching import announce_content
from service.runtime.errors import EngineError, SelfTestFailed
from service.runtime.providers import Choice, choices, cpu_features, parse_providers
from service.runtime.runner import Runner, as_opened, make_runner
from service.runtime.session import usable_providers
from service.runtime.slot_decoder import DEFAULT_SLOTS
from service.tasks.registry import AnyTask, make_task

log = logging.getLogger("slipway.repository")


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
    """One model, warm, tested and with its worker threads running. Blocks; raises what is wrong."""
    manifest = published.manifest
    of_model = metrics.model(manifest.name, manifest.version)
    published.verify()
    task = make_task(manifest, published.read, options.image_limits)
    opened, reports = _open_best(published, task, options, of_model)
    live = LiveModel(
        manifest=manifest,
        variant=opened.choice.variant.precision,
        placement=dict(opened.runner.placement),
        written_anew=opened.written_anew,
        task=task,
        runner=opened.runner,
        batcher=make_batcher(
            Works(manifest, task, opened.runner, opened.engine, of_model), options
        ),
        metrics=of_model,
        self_tests=reports,
    )
    _announce(live, opened.choice)
    return live


@dataclass(frozen=True, slots=True)
class _Opened:
    """A variant that runs here."""

    choice: Choice
    runner: Runner
    engine: Engine
    written_anew: bool


def _open_best(
    published: PublishedModel, task: AnyTask, options: LoadOptions, metrics: ModelMetrics
) -> tuple[_Opened, tuple[SelfTestReport, ...]]:
    """The best variant that answers here as it did when it was published, and the self-tests that
    led to it: its own is the last. Raises SelfTestFailed when none does, or with `strict_providers`
    when the best does not."""
    manifest = published.manifest
    reports: list[SelfTestReport] = []
    for choice in possible_choices(manifest, options):
        opened, report = _try_choice(published, choice, task, options, metrics)
        reports.append(report)
        if report.outcome != "none":
            passed = report.outcome == "passed"
            metrics.self_tested(variant=report.variant, provider=report.provider, passed=passed)
        if opened is not None:
            return opened, tuple(reports)
        if options.strict_providers:
            break
    tried = "; ".join(f"{r.variant} on {r.provider}: {r.reason}" for r in reports)
    raise SelfTestFailed(
        f"{manifest.name}/{manifest.version} has no variant that answers here as it should. {tried}"
    )


def _try_choice(
    published: PublishedModel,
    choice: Choice,
    task: AnyTask,
    options: LoadOptions,
    metrics: ModelMetrics,
) -> tuple[_Opened | None, SelfTestReport]:
    """This variant, unless it may not serve, and what its self-test said. Raises ModelZooError."""
    manifest, provider = published.manifest, choice.providers[0]
    try:
        opened = _open_warm(published, choice, task, options, metrics)
    except ModelZooError:  # the files are not what was published: no variant of them may serve
        raise
    except Exception as error:  # whatever a broken graph makes its readers raise, the next may do
        report = broken(choice.variant, provider, error)
        _tell_failure(manifest, report, error)
        return None, report
    report = self_test(manifest, choice.variant, published.read, task, opened.runner, provider)
    if report.outcome == "failed":
        _tell_failure(manifest, report)
        opened.runner.close()
        return None, report
    return opened, report


def _open_warm(
    published: PublishedModel,
    choice: Choice,
    task: AnyTask,
    options: LoadOptions,
    metrics: ModelMetrics,
) -> _Opened:
    """The variant, after its first runs. Raises what is wrong with it."""
    manifest = published.manifest
    published_graphs = graphs_of(published, choice)
    graphs = as_opened(manifest, published_graphs, choice.providers[0], cpu_features())
    written_anew = graphs != published_graphs
    if written_anew:
        log.info(
            "large convolutions run as products of matrices, by AMX",
            extra={"model": manifest.name, "version": str(manifest.version)},
        )
    runner = _open_runner(
        manifest, graphs, choice, strict=options.strict_providers, slots=options.decode_slots
    )
    engine = Engine(task, runner, metrics, FIRST_STAGE[manifest.task])
    try:
        on_gpu = choice.providers[0] in ("cuda", "tensorrt")
        warm_up(engine, manifest, options.max_batch_size, on_gpu=on_gpu)
    except Exception:
        runner.close()
        raise
    return _Opened(choice, runner, engine, written_anew)


def possible_choices(manifest: Manifest, options: LoadOptions) -> list[Choice]:
    """The variants that suit this machine and the options, best first. Raises EngineError."""
    return choices(
        manifest.variants,
        parse_providers(options.providers, usable_providers()),
        usable=usable_providers(),
        features=cpu_features(),
        precision=options.precision,
        strict=options.strict_providers,
    )


def graphs_of(published: PublishedModel, choice: Choice) -> Mapping[Role, bytes]:
    """The variant's graphs as they were published, their bytes verified."""
    return {graph.role: published.read(graph.file) for graph in choice.variant.graphs}


def open_runner(
    published: PublishedModel, choice: Choice, *, strict: bool, slots: int = DEFAULT_SLOTS
) -> Runner:
    """The variant's graphs, opened from their verified bytes."""
    manifest, graphs = published.manifest, graphs_of(published, choice)
    opened = as_opened(manifest, graphs, choice.providers[0], cpu_features())
    return _open_runner(manifest, opened, choice, strict=strict, slots=slots)


def _open_runner(
    manifest: Manifest, graphs: Mapping[Role, bytes], choice: Choice, *, strict: bool, slots: int
) -> Runner:
    return make_runner(
        manifest,
        graphs,
        providers=choice.providers,
        threads=1,  # each worker runs batches of its own, which scales better than sharing one
        strict=strict,
        slots=slots,
        features=(),  # they are as they are opened already
    )


def _tell_failure(
    manifest: Manifest, report: SelfTestReport, error: Exception | None = None
) -> None:
    log.warning(
        "a variant failed its self-test",
        exc_info=None if error is None or _is_foreseen(error) else error,
        extra={
            "model": manifest.name,
            "version": str(manifest.version),
            "variant": report.variant,
            "provider": report.provider,
            "reason": report.reason,
        },
    )


def _announce(live: LiveModel, choice: Choice) -> None:
    announce_content(live.metrics, live.manifest)
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
        log.error(
            "cannot load a model",
            exc_info=None if _is_foreseen(error) else error,
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


def _is_foreseen(error: Exception) -> bool:
    return isinstance(error, ModelZooError | EngineError | ServiceError)


def _reason(error: Exception, catalog: Catalog) -> str:
    said = error.detail if isinstance(error, ServiceError) else str(error)
    # Clients may read the reason: where the files lie is not their matter.
    return (said or type(error).__name__).replace(f"{catalog.root}/", "")

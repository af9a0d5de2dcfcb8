"""A published model's task and runner without a server, as the ceilings need them."""

from __future__ import annotations

from pathlib import Path

from model_zoo.catalog import Catalog, PublishedModel
from model_zoo.manifest import Precision
from model_zoo.manifest import Task as TaskName
from service.repository.models import precedence
from service.runtime.providers import Choice, choose_variant, cpu_features, parse_providers
from service.runtime.runner import Runner, as_opened, make_runner
from service.runtime.session import usable_providers
from service.settings import Settings
from service.tasks.registry import AnyTask, make_task


def newest(models: Path, task: TaskName) -> PublishedModel:
    """The newest version of this task's default model."""
    catalog = Catalog(models)
    defaults = Settings().default_models
    for ref in sorted(catalog.list(), key=lambda ref: precedence(ref.name, ref.version, defaults)):
        published = catalog.open(ref.name, ref.version)
        if published.manifest.task == task:
            return published
    raise SystemExit(f"{models}: no model for {task}")


def open_model(
    published: PublishedModel,
    precision: Precision | None = None,
    *,
    in_one_piece: bool = False,
    as_published: bool = False,
) -> tuple[AnyTask, Runner]:
    """Its task, and its variant for this machine on one thread; `in_one_piece` runs the whole
    network where the service would run parts of it, `as_published` the graph as it is where the
    service would write it anew for this CPU."""
    manifest, choice = published.manifest, _choice(published, precision)
    wanted = [g for g in choice.variant.graphs if g.role == "model" or not in_one_piece]
    graphs = {graph.role: published.read(graph.file) for graph in wanted}
    runner = make_runner(manifest, graphs, threads=1, features=() if as_published else None)
    return make_task(manifest, published.read), runner


def is_written_anew(published: PublishedModel) -> bool:
    """Whether the service opens other graphs on this CPU than were published."""
    choice = _choice(published)
    graphs = {graph.role: published.read(graph.file) for graph in choice.variant.graphs}
    provider = choice.providers[0]
    return as_opened(published.manifest, graphs, provider, cpu_features()) != graphs


def _choice(published: PublishedModel, precision: Precision | None = None) -> Choice:
    usable = usable_providers()
    return choose_variant(
        published.manifest.variants,
        parse_providers("auto", usable),
        usable=usable,
        features=cpu_features(),
        precision=precision,
    )

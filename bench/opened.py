"""A published model's task and runner without a server, as the ceilings need them."""

from __future__ import annotations

from pathlib import Path

from model_zoo.catalog import Catalog, PublishedModel
from model_zoo.manifest import Precision
from model_zoo.manifest import Task as TaskName
from service.runtime.providers import choose_variant, cpu_features, parse_providers
from service.runtime.runner import Runner, make_runner
from service.runtime.session import usable_providers
from service.tasks.registry import AnyTask, make_task


def newest(models: Path, task: TaskName) -> PublishedModel:
    """The newest version of the first model of this task: the one that the service takes."""
    catalog = Catalog(models)
    for ref in sorted(catalog.list(), key=lambda ref: (ref.name, -ref.version)):
        published = catalog.open(ref.name, ref.version)
        if published.manifest.task == task:
            return published
    raise SystemExit(f"{models}: no model for {task}")


def open_model(
    published: PublishedModel, precision: Precision | None = None
) -> tuple[AnyTask, Runner]:
    """Its task, and its variant for this machine on one thread."""
    manifest = published.manifest
    usable = usable_providers()
    choice = choose_variant(
        manifest.variants,
        parse_providers("auto", usable),
        usable=usable,
        features=cpu_features(),
        precision=precision,
    )
    graphs = {graph.role: published.read(graph.file) for graph in choice.variant.graphs}
    return make_task(manifest, published.read), make_runner(manifest, graphs, threads=1)

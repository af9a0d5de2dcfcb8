"""Asks what was published, through the rooms that serve."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from model_zoo.catalog import Catalog
from model_zoo.manifest import Precision
from service.metrics import Metrics
from service.predictor import predict
from service.repository.live import LiveModel
from service.repository.loading import load
from service.repository.options import LoadOptions


@contextmanager
def serving(
    models: Path, name: str, version: int | None = None, precision: Precision | None = None
) -> Iterator[LiveModel]:
    """The model, verified and warm, with a worker of its own."""
    options = LoadOptions(providers="cpu", precision=precision, max_batch_size=4, workers=1)
    metrics = Metrics.create(CollectorRegistry())
    live = load(Catalog(models).open(name, version), options, metrics)
    try:
        yield live
    finally:
        live.close(timeout_s=10.0)


def ask(live: LiveModel, items: Sequence[Any]) -> list[Any]:
    """A prediction an item, as a client would get it."""
    return asyncio.run(predict(live, items, timeout_s=60.0))

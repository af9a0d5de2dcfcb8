"""The whole application in process: real ONNX Runtime, real queues, tiny models."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from model_zoo.catalog import Catalog
from service.http.application import CLASSIFY, make_application
from service.http.edge import Edge
from service.http.limits import Limits
from service.http.native import ItemLimits
from service.metrics import Metrics
from service.repository.lifecycle import Lifecycle
from service.repository.loading import load_all
from service.repository.models import Models
from service.repository.options import LoadOptions
from tests import tiny_zoo

BODY_BYTES, IMAGE_BYTES = 1 << 20, 8 << 20


@dataclass
class App:
    """One application, and a client that asks it without a socket."""

    models: Models
    edge: Edge
    registry: CollectorRegistry
    client: httpx.AsyncClient

    def requests(self, outcome: str) -> float:
        """How many requests ended in this outcome so far."""
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "slipway_requests_total" and sample.labels["outcome"] == outcome
        )


def make_app(models: Models, metrics: Metrics, registry: CollectorRegistry) -> App:
    edge = make_application(
        models,
        metrics,
        limits=Limits(body_bytes=BODY_BYTES, body_bytes_of={CLASSIFY: IMAGE_BYTES}),
        item_limits=ItemLimits(max_items=64, max_characters=10_000),
        timeout_s=30.0,
        version="1.2.3",
    )
    client = httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://slipway")
    return App(models, edge, registry, client)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Three tiny models, the one for images in two versions."""
    catalog = tiny_zoo.build(tmp_path_factory.mktemp("zoo"))
    tiny_zoo.publish_images(catalog, version=2)
    return catalog


@pytest.fixture(scope="session")
async def loaded(zoo: Catalog) -> AsyncIterator[App]:
    """The application with the whole zoo, shared by all tests of this folder."""
    registry = CollectorRegistry()
    metrics = Metrics.create(registry)
    models = Models(Lifecycle())
    live, broken = await load_all(zoo, LoadOptions(workers=2, max_batch_size=8), metrics)
    models.serve(live, broken)
    models.lifecycle.become_ready()
    app = make_app(models, metrics, registry)
    yield app
    await app.client.aclose()
    for model in live:
        model.close(timeout_s=5.0)


@pytest.fixture
def app(loaded: App) -> App:
    return loaded


@pytest.fixture
def client(loaded: App) -> httpx.AsyncClient:
    return loaded.client


@pytest.fixture
def broken_zoo(tmp_path: Path) -> Catalog:
    """Three tiny models; one graph has a byte that nobody published."""
    catalog = tiny_zoo.build(tmp_path)
    graph = tmp_path / tiny_zoo.IMAGES / "1" / "model.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    return catalog

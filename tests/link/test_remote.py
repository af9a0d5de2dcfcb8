"""Models of the engine, as requests in a front end find them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from model_zoo.catalog import Catalog
from service.errors import InvalidInput, UnsupportedMedia
from service.link.front import EngineAway
from service.link.remote import RemoteModels, RemoteQueue
from service.metrics import Metrics
from service.repository.lifecycle import Lifecycle
from service.repository.live import ServedModel
from service.repository.models import BrokenModel, Models
from service.repository.options import LoadOptions
from service.tasks.base import Pixels
from service.tasks.image_classification import ImagePrediction
from service.tasks.registry import make_task
from tests import tiny_zoo
from tests.link.conftest import FakeQueue, Site
from tests.tasks.samples import file_of, picture

pytestmark = pytest.mark.anyio

GOOD = file_of(picture(tiny_zoo.SIDE, tiny_zoo.SIDE), "JPEG")


@dataclass
class Front:
    """A front end's models, and what it counts."""

    models: Models
    remote: RemoteModels
    registry: CollectorRegistry

    def counted(self, model: str, outcome: str) -> float:
        labels = {"model": model, "outcome": outcome}
        return self.registry.get_sample_value("slipway_items_total", labels) or 0.0

    def ready(self, model: str) -> float | None:
        """What is told of the model's readiness."""
        labels = {"model": model, "version": "1"}
        return self.registry.get_sample_value("slipway_model_ready", labels)


@asynccontextmanager
async def fronting(path: Path, catalog: Catalog) -> AsyncIterator[Front]:
    registry = CollectorRegistry()
    models = Models(Lifecycle())
    remote = RemoteModels(
        path,
        models,
        catalog=catalog,
        options=LoadOptions(workers=1),
        metrics=Metrics.create(registry),
    )
    keeping = asyncio.create_task(remote.keep())
    try:
        yield Front(models, remote, registry)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await asyncio.to_thread(remote.close, 5.0)


@pytest.fixture
def images(site: Site, catalog: Catalog) -> Site:
    """An engine for images."""
    published = catalog.open(tiny_zoo.IMAGES, 1)
    task = make_task(published.manifest, published.read)

    def model(queue: FakeQueue) -> ServedModel:
        return ServedModel(manifest=published.manifest, variant="fp32", task=task, batcher=queue)

    return replace(site, model=model)


def seen(score: float) -> ImagePrediction:
    rest = (1 - score) / 2
    return ImagePrediction("red", score, tiny_zoo.LABELS, [score, rest, rest], None)


async def test_the_models_of_the_engine_are_served(site: Site, catalog: Catalog) -> None:
    broken = BrokenModel("other", "3", "A file is missing.")
    async with site.engine(broken=[broken]), fronting(site.path, catalog) as front:
        await asyncio.wait_for(front.remote.met(), 10)
        (live,) = front.models.live
        assert (live.name, live.version, live.variant) == (tiny_zoo.TEXTS, "1", "fp32")
        assert live.batcher.most_parts == 7
        assert front.models.broken == (broken,)
        assert await front.remote.versions() == [{"name": tiny_zoo.TEXTS}]
        assert live.batcher.refusal("interactive", 0.0) is None
        assert not live.batcher.refuses_again(InvalidInput("x"))


async def test_images_are_decoded_before_they_are_sent(images: Site, catalog: Catalog) -> None:
    async with images.engine() as engine, fronting(images.path, catalog) as front:
        await asyncio.wait_for(front.remote.met(), 10)
        (live,) = front.models.live
        deadline_s = time.monotonic() + 60
        parts = [GOOD, b"no image", GOOD]
        asking = asyncio.create_task(
            live.batcher.submit_each(parts, costs=[9, 9, 9], deadline=deadline_s, priority="bulk")
        )
        (held,) = await engine.queue.holds(1)
        pixels = live.task.prepare(GOOD)
        assert isinstance(pixels, Pixels)
        assert held.parts == [pixels, pixels]
        assert held.costs == [1, 1]  # decoding is paid already
        assert (held.deadline_s, held.priority) == (deadline_s, "bulk")
        held.answer.set_result([seen(0.5), seen(0.75)])
        first, bad, last = await asking
        assert (first.score, last.score) == (0.5, 0.75)
        assert isinstance(bad, UnsupportedMedia)
        assert front.counted(tiny_zoo.IMAGES, "client_error") == 1


async def test_nothing_is_asked_where_nothing_is_left(images: Site, catalog: Catalog) -> None:
    async with images.engine() as engine, fronting(images.path, catalog) as front:
        await asyncio.wait_for(front.remote.met(), 10)
        (live,) = front.models.live
        found = await live.batcher.submit_each([b"no image"], deadline=time.monotonic() + 60)
        assert [type(error) for error in found] == [UnsupportedMedia]
        assert engine.queue.calls == []


async def test_who_leaves_ends_the_workers_that_decode(images: Site, catalog: Catalog) -> None:
    async with images.engine(), fronting(images.path, catalog) as front:
        await asyncio.wait_for(front.remote.met(), 10)
        (live,) = front.models.live
        assert isinstance(live.batcher, RemoteQueue)
        assert live.batcher.preparing is not None
        queue = live.batcher.preparing._queue
        assert queue.workers_alive == 1
    assert queue.workers_alive == 0


async def test_who_follows_a_text_hears_of_it(site: Site, catalog: Catalog) -> None:
    async with site.engine() as engine, fronting(site.path, catalog) as front:
        await asyncio.wait_for(front.remote.met(), 10)
        (live,) = front.models.live
        heard: list[tuple[int, Any]] = []
        asking = asyncio.create_task(
            live.batcher.submit_each(
                ["abc"],
                deadline=time.monotonic() + 60,
                on_progress=lambda *known: heard.append(known),
            )
        )
        (held,) = await engine.queue.holds(1)
        assert held.on_progress is not None
        held.on_progress(0, "a")
        held.answer.set_result(["abc"])
        assert await asking == ["abc"]
        assert heard == [(0, "a")]


async def test_texts_are_sent_with_their_costs(site: Site, catalog: Catalog) -> None:
    async with site.engine() as engine, fronting(site.path, catalog) as front:
        await asyncio.wait_for(front.remote.met(), 10)
        (live,) = front.models.live
        asking = asyncio.create_task(
            live.batcher.submit_each(["abc"], costs=[5], deadline=time.monotonic() + 60)
        )
        (held,) = await engine.queue.holds(1)
        assert (held.parts, held.costs) == (["abc"], [5])
        asking.cancel()
        await engine.queue.loses(1)
        assert [front.counted(tiny_zoo.TEXTS, x) for x in ("ok", "cancelled", "failed")] == [0] * 3


async def test_what_an_engine_takes_with_it_is_counted_here(site: Site, catalog: Catalog) -> None:
    async with fronting(site.path, catalog) as front:
        async with site.engine() as engine:
            await asyncio.wait_for(front.remote.met(), 10)
            (live,) = front.models.live
            asking = asyncio.create_task(
                live.batcher.submit_each(["a", "b"], deadline=time.monotonic() + 60)
            )
            await engine.queue.holds(1)
        with pytest.raises(EngineAway):
            await asking
        assert front.counted(tiny_zoo.TEXTS, "failed") == 2


async def test_the_same_models_of_another_engine_are_not_read_again(
    site: Site, catalog: Catalog
) -> None:
    async with fronting(site.path, catalog) as front:
        async with site.engine():
            await asyncio.wait_for(front.remote.met(), 10)
            (live,) = front.models.live
            assert front.ready(tiny_zoo.TEXTS) == 1
            front.remote.require_engine()
        with pytest.raises(EngineAway):  # noqa: PT012  # until it has heard of it
            while True:
                await front.remote.versions()
        assert front.ready(tiny_zoo.TEXTS) == 0
        with pytest.raises(EngineAway):
            front.remote.require_engine()
        async with site.engine() as engine:
            while True:
                try:
                    assert await front.remote.versions()
                    break
                except EngineAway:
                    await asyncio.sleep(0.01)
            assert front.models.live == (live,)
            assert front.ready(tiny_zoo.TEXTS) == 1
            asking = asyncio.create_task(
                live.batcher.submit_each(["a"], deadline=time.monotonic() + 60)
            )
            await engine.queue.holds(1)
            asking.cancel()


async def test_a_model_that_cannot_be_read_here_is_broken(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with site.engine(), fronting(site.path, Catalog(tmp_path)) as front:
        await asyncio.wait_for(front.remote.met(), 10)
        assert front.models.live == ()
        (broken,) = front.models.broken
        assert (broken.name, broken.version) == (tiny_zoo.TEXTS, "1")
        assert str(tmp_path) not in broken.reason
        assert "cannot read a model of the engine" in caplog.text

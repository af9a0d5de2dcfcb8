"""Images are decoded in the front end: at once where that is quick, else in a queue of its own."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from model_zoo.catalog import Catalog
from service.errors import (
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    Overloaded,
    UnsupportedMedia,
)
from service.link.preparing import Preparing
from service.metrics import Metrics
from service.repository.options import LoadOptions
from service.tasks.base import Pixels
from service.tasks.registry import AnyTask, make_task
from tests import tiny_zoo
from tests.tasks.samples import file_of, picture

pytestmark = pytest.mark.anyio

SIDE = tiny_zoo.SIDE
SMALL = file_of(picture(SIDE, SIDE), "JPEG")
LARGE = file_of(picture(64, 48))


class Bench:
    """What decodes, and what it counted."""

    def __init__(self, task: AnyTask, **options: Any) -> None:
        self.registry = CollectorRegistry()
        metrics = Metrics.create(self.registry).model("m", 1)
        self.preparing = Preparing(task, metrics, LoadOptions(workers=1, **options))

    async def __call__(self, *parts: bytes, spare_s: float = 60.0) -> list[Any]:
        deadline_s = time.monotonic() + spare_s
        return await self.preparing.prepare(parts, deadline_s=deadline_s, priority="interactive")

    def counted(self, outcome: str) -> float:
        labels = {"model": "m", "outcome": outcome}
        return self.registry.get_sample_value("slipway_items_total", labels) or 0.0

    def decoded(self) -> float:
        labels = {"model": "m", "stage": "decode"}
        return self.registry.get_sample_value("slipway_stage_duration_seconds_count", labels) or 0.0


@pytest.fixture(scope="module")
def task(catalog: Catalog) -> AnyTask:
    published = catalog.open(tiny_zoo.IMAGES, 1)
    return make_task(published.manifest, published.read)


@pytest.fixture
def bench(task: AnyTask) -> Iterator[Bench]:
    found = Bench(task)
    yield found
    found.preparing.close(5.0)


@pytest.mark.parametrize("image", [SMALL, LARGE])
async def test_what_comes_out_has_the_answer_of_what_went_in(
    bench: Bench, task: AnyTask, image: bytes
) -> None:
    (part,) = await bench(image)
    assert isinstance(part, Pixels)
    assert (task.preprocess(part) == task.preprocess(image)).all()
    assert bench.decoded() == 1
    assert bench.counted("ok") == 0  # the engine will


async def test_a_quick_image_is_not_handed_to_a_worker(bench: Bench, task: AnyTask) -> None:
    seen: list[int] = []

    class Seeing:
        def __getattr__(self, name: str) -> Any:
            return getattr(task, name)

        def prepare(self, part: bytes) -> Any:
            seen.append(threading.get_ident())
            return task.prepare(part)

    watched = Bench(Seeing())
    seen.clear()
    await watched(SMALL)
    assert seen == [threading.get_ident()]
    await watched(LARGE)
    assert seen[1] != threading.get_ident()
    await watched(SMALL, LARGE)  # what is together waits together
    assert threading.get_ident() not in seen[2:]
    await asyncio.to_thread(watched.preparing.close, 5.0)


async def test_the_queue_is_told_what_it_must_know(
    bench: Bench, task: AnyTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = bench.preparing._queue
    assert queue.max_batch_size == 1  # nobody waits for another's image
    assert queue.latency.batches > 0  # it knows beforehand how long one takes
    told: list[dict[str, Any]] = []
    submit_each = queue.submit_each

    async def watched(parts: Any, **how: Any) -> Any:
        told.append(how)
        return await submit_each(parts, **how)

    monkeypatch.setattr(queue, "submit_each", watched)
    deadline_s = time.monotonic() + 60
    await bench.preparing.prepare([LARGE], deadline_s=deadline_s, priority="bulk")
    assert told == [{"costs": [task.cost(LARGE)], "deadline": deadline_s, "priority": "bulk"}]


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (b"no image", UnsupportedMedia),
        (LARGE[:-40], InvalidInput),
        (SMALL[: len(SMALL) // 2], InvalidInput),
    ],
)
async def test_a_bad_image_costs_itself_alone_and_is_counted(
    bench: Bench, image: bytes, error: type[Exception]
) -> None:
    good, bad, other = await bench(SMALL, image, LARGE)
    assert isinstance(good, Pixels)
    assert isinstance(other, Pixels)
    assert isinstance(bad, error)
    assert bench.counted("client_error") == 1
    (alone,) = await bench(image)
    assert isinstance(alone, error)
    assert bench.counted("client_error") == 2


class Stuck:
    """A task that decodes only once it may; a quick one breaks."""

    def __init__(self, task: AnyTask) -> None:
        self._task = task
        self.entered, self.open = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def prepare(self, part: bytes) -> Any:
        if part == LARGE:
            self.entered.set()
            assert self.open.wait(30)
        if part == SMALL:
            raise KeyError("a mistake")
        return self._task.prepare(part)


async def test_what_would_wait_too_long_is_refused_and_counted(task: AnyTask) -> None:
    stuck = Stuck(task)
    bench = Bench(stuck, max_queue_size=2)
    first = asyncio.create_task(bench(LARGE))
    await asyncio.to_thread(stuck.entered.wait, 30)
    waiting = [asyncio.create_task(bench(LARGE)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await bench(LARGE)
    assert bench.counted("shed") == 1
    late = asyncio.create_task(bench(LARGE, spare_s=0.0))
    with pytest.raises(DeadlineExceeded):
        await late
    assert bench.counted("expired") == 1
    waiting[0].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert bench.counted("cancelled") == 1
    stuck.open.set()
    assert [len(await task) for task in (first, waiting[1])] == [1, 1]
    assert bench.counted("ok") == 0
    await asyncio.to_thread(bench.preparing.close, 5.0)


async def test_a_mistake_is_no_error_of_the_client(
    task: AnyTask, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(Stuck(task))
    (found,) = await bench(SMALL)
    assert isinstance(found, InferenceFailed)
    assert bench.counted("failed") == 1
    assert "a mistake" in caplog.text
    await asyncio.to_thread(bench.preparing.close, 5.0)

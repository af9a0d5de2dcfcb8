"""An engine and its front ends in one event loop, over a real socket, with a queue that obeys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from model_zoo.catalog import Catalog
from model_zoo.manifest import Manifest
from service.batching.policy import Priority
from service.errors import ServiceError
from service.link.engine import EngineEnd
from service.link.front import EngineLink, Told
from service.repository.lifecycle import Lifecycle
from service.repository.live import ServedModel
from service.repository.models import BrokenModel, Models
from service.tasks.registry import make_task
from service.tracing.current import RequestTracer, served
from tests import tiny_zoo


@dataclass(eq=False)
class Held:
    """A call that came to the queue, and what it is to be told."""

    parts: list[Any]
    costs: list[int]
    deadline_s: float
    priority: Priority
    on_progress: Callable[[int, Any], None] | None
    request_id: bytes | None
    traced: Any
    answer: asyncio.Future[list[Any]]


@dataclass(eq=False)
class FakeQueue:
    """Holds every call until the test answers it, unless it is `refusing`, to all who cost as much
    as `cost`; remembers what its door was asked."""

    most_parts: int = 7
    refusing: ServiceError | None = None
    cost: int | None = 1
    doors: list[tuple[Priority, float, int]] = field(default_factory=list)
    calls: list[Held] = field(default_factory=list)
    left: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def submit_each(
        self,
        parts: Sequence[Any],
        *,
        costs: Sequence[int] | None = None,
        deadline: float,
        priority: Priority = "interactive",
        on_progress: Callable[[int, Any], None] | None = None,
    ) -> list[Any]:
        request = served.get()
        call = Held(
            list(parts),
            list(costs or ()),
            deadline,
            priority,
            on_progress,
            request.request_id if request is not None else None,
            request.trace if request is not None else None,
            asyncio.get_running_loop().create_future(),
        )
        self.calls.append(call)
        self.news.set()
        try:
            return await call.answer
        except asyncio.CancelledError:
            self.left += 1
            self.news.set()
            raise

    def refusal(
        self, priority: Priority, spare_s: float, weigh: Callable[[], int] = lambda: 0
    ) -> ServiceError | None:
        if self.refusing is not None:
            self.doors.append((priority, spare_s, weigh()))
        return self.refusing

    def refuses_again(self, error: ServiceError) -> bool:
        return False

    def refused_from(self, error: ServiceError) -> int | None:
        return self.cost

    async def holds(self, count: int) -> Sequence[Held]:
        """So many calls have come."""
        return await self._until(lambda: len(self.calls) >= count)

    async def loses(self, count: int) -> None:
        """So many calls were taken back."""
        await self._until(lambda: self.left >= count)

    async def _until(self, come: Callable[[], bool]) -> Sequence[Held]:
        while not come():
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 10)
        return self.calls


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_zoo.build(tmp_path_factory.mktemp("zoo"))


@dataclass
class Engine:
    """An engine whose model answers when the test says so."""

    end: EngineEnd
    queue: FakeQueue
    serving: asyncio.Task[None]


@dataclass
class Site:
    """Starts engines and front ends that meet at one path."""

    path: Path
    manifest: Manifest
    model: Callable[[FakeQueue], ServedModel]

    @asynccontextmanager
    async def engine(
        self,
        drain_s: float = 5.0,
        tracer: RequestTracer | None = None,
        broken: Iterable[BrokenModel] = (),
    ) -> AsyncIterator[Engine]:
        queue = FakeQueue()
        models = Models(Lifecycle())
        models.serve([self.model(queue)], broken)
        end = EngineEnd(
            self.path,
            models,
            describe=lambda: [{"name": model.name} for model in models.live],
            drain_s=drain_s,
            tracer=tracer,
        )
        serving = asyncio.create_task(end.serve())
        try:
            yield Engine(end, queue, serving)
        finally:
            end.stop()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    @asynccontextmanager
    async def front(self) -> AsyncIterator[Front]:
        front = Front(self.path, self.manifest)
        keeping = asyncio.create_task(front.link.keep())
        try:
            yield front
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


class Front:
    """A front end that has met what engines told it."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.link = EngineLink(path, self._meet)
        self.manifest = manifest
        self.met: list[tuple[list[Told], list[BrokenModel]]] = []
        self._news = asyncio.Event()

    def _meet(self, live: Sequence[Told], broken: Sequence[BrokenModel]) -> None:
        self.met.append((list(live), list(broken)))
        self._news.set()

    async def meets(self, count: int = 1) -> Told:
        """So many engines were met; the last one's model."""
        while len(self.met) < count:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 10)
        return self.met[-1][0][0]

    def ask(
        self, told: Told, *parts: str, spare_s: float = 60.0, **options: Any
    ) -> asyncio.Task[list[Any]]:
        """Ask for these texts."""
        options = {"priority": "interactive", **options}
        return asyncio.create_task(
            self.link.ask(
                told,
                self.manifest,
                parts,
                [len(part) for part in parts],
                deadline_s=time.monotonic() + spare_s,
                **options,
            )
        )


@pytest.fixture
def site(tmp_path: Path, catalog: Catalog) -> Site:
    published = catalog.open(tiny_zoo.TEXTS, 1)
    task = make_task(published.manifest, published.read)

    def model(queue: FakeQueue) -> ServedModel:
        return ServedModel(manifest=published.manifest, variant="fp32", task=task, batcher=queue)

    return Site(tmp_path / "link.sock", published.manifest, model)


Met = Callable[[], AbstractAsyncContextManager[tuple[Engine, Front, Told]]]


@pytest.fixture
async def met(site: Site) -> AsyncIterator[tuple[Engine, Front, Told]]:
    """One engine and one front end that know each other."""
    async with site.engine() as engine, site.front() as front:
        yield engine, front, await front.meets()

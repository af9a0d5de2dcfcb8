"""Where the models of a process run: in itself, or in the engine behind it."""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

from model_zoo.errors import ModelZooError
from service.app.event_loop import Patience
from service.app.options import catalog, load_options
from service.link.remote import RemoteModels
from service.metrics import Metrics
from service.repository.live import LiveModel
from service.repository.loading import load_all
from service.repository.models import Models
from service.runtime.threads import available_cpus
from service.settings import Settings


class StartFailed(Exception):
    """The process cannot serve; the message says why, one line a reason."""


class Source(Protocol):
    """Where the models run that `models` of this process lists."""

    def watching(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What goes on as long as the process lives, from its start."""
        ...

    def require_ready(self) -> None:
        """Raise NotReady while the models, once loaded, cannot be asked."""
        ...

    async def load(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Have models that can be asked; what goes on from then on. Raises StartFailed."""
        ...

    async def close(self, timeout_s: float) -> None:
        """Ask none any more; all requests have their answers by now."""
        ...


class OwnModels:
    """Models that this process loads."""

    def __init__(self, settings: Settings, models: Models, metrics: Metrics) -> None:
        self._settings = settings
        self._models = models
        self._metrics = metrics
        self._live: Sequence[LiveModel] = ()

    def watching(self) -> Sequence[Coroutine[Any, Any, None]]:
        """See `Source`."""
        return ()

    def require_ready(self) -> None:
        """See `Source`; they always can."""

    async def load(self) -> Sequence[Coroutine[Any, Any, None]]:
        """See `Source`."""
        settings = self._settings
        try:
            live, broken = await load_all(catalog(settings), load_options(settings), self._metrics)
        except ModelZooError as error:
            raise StartFailed(str(error)) from error
        self._live = live
        self._models.serve(live, broken)
        return (Patience(self._item_counts, settings.threads or available_cpus()).watch(),)

    async def close(self, timeout_s: float) -> None:
        """See `Source`; what the queues still hold has no reader."""
        for live in self._live:
            await asyncio.to_thread(live.close, timeout_s)

    def _item_counts(self) -> list[int]:
        return [sum(live.batcher.outcomes.values()) for live in self._live]


class EngineModels:
    """Models of the engine whose socket is at `path`."""

    def __init__(self, settings: Settings, models: Models, metrics: Metrics, path: Path) -> None:
        self.remote = RemoteModels(
            path,
            models,
            catalog=catalog(settings),
            options=load_options(settings),
            metrics=metrics,
        )

    def watching(self) -> Sequence[Coroutine[Any, Any, None]]:
        """See `Source`."""
        return (self.remote.keep(),)

    def require_ready(self) -> None:
        """See `Source`."""
        self.remote.require_engine()

    async def load(self) -> Sequence[Coroutine[Any, Any, None]]:
        """See `Source`."""
        await self.remote.met()
        return ()

    async def close(self, timeout_s: float) -> None:
        """See `Source`."""
        await asyncio.to_thread(self.remote.close, timeout_s)

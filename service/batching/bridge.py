"""The way from worker threads to the one event loop that a batcher belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Bridge:
    """Bound to the event loop that first submits."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self) -> asyncio.AbstractEventLoop:
        """The running event loop; RuntimeError if another one that still lives was bound."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("a batcher belongs to one event loop")
            self._loop = loop
        return loop

    def call(self, callback: Callable[..., None], *args: object) -> None:
        """Have the event loop call this; from any thread. Nothing, if it is closed or never was."""
        if self._loop is None:  # nothing was ever submitted
            return
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

"""What a batcher tells about its work; metrics listen to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from service.metrics import ItemOutcome


class BatchObserver(Protocol):
    """Called from worker threads and from the event loop, so it must be thread-safe and quick."""

    def queue_opened(self, depth: Callable[[], int], limit: int) -> None:
        """A queue for `limit` items exists; `depth` tells at any time how many wait in it."""

    def queue_closed(self, depth: Callable[[], int]) -> None:
        """The queue that was opened with this `depth` is gone."""

    def batch_started(self, size: int, waits_s: Sequence[float]) -> None:
        """A batch leaves the queue; `waits_s` holds what each of its items waited."""

    def items_ended(self, outcome: ItemOutcome, count: int) -> None:
        """`count` items came to their end; each item does so exactly once."""


class NoObserver:
    """Listens to nothing."""

    def queue_opened(self, depth: Callable[[], int], limit: int) -> None:
        """Ignore it."""

    def queue_closed(self, depth: Callable[[], int]) -> None:
        """Ignore it."""

    def batch_started(self, size: int, waits_s: Sequence[float]) -> None:
        """Ignore it."""

    def items_ended(self, outcome: ItemOutcome, count: int) -> None:
        """Ignore it."""

"""What a batcher tells about its work; metrics listen to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from service.metrics import ItemOutcome, LookUp, ReleaseReason, RunTrace


class BatchObserver(Protocol):
    """Called from worker threads and from the event loop, so it must be thread-safe and quick."""

    def queue_opened(
        self,
        depth: Callable[[], int],
        limit: int,
        seconds: Callable[[], float],
        limit_s: float,
    ) -> None:
        """A queue for `limit` items of either priority exists; `depth` tells at any time how many
        of both wait in it.

        `seconds` tells how long the workers will need for them, as far as can be predicted; what
        would make that more than `limit_s` is refused.
        """

    def queue_closed(self, depth: Callable[[], int]) -> None:
        """The queue that was opened with this `depth` is gone."""

    def admitted(self) -> object | None:
        """A call with items is let in; what is returned comes back as an origin of its batches."""

    def batch_started(
        self,
        size: int,
        waits_s: Sequence[float],
        reason: ReleaseReason,
        origins: Sequence[object],
    ) -> RunTrace | None:
        """A batch leaves the queue for `reason`; `waits_s` holds what each of its items waited.

        `origins` has what `admitted` returned for each call that waits for one of its items. Who
        wants to know when items leave the batch returns somebody to tell.
        """

    def batch_predicted(self, predicted_s: float, seconds: float) -> None:
        """A batch took `seconds`, and `predicted_s` were expected."""

    def busy(self, by: int) -> None:
        """So many workers more, or with a negative number fewer, compute."""

    def items_ended(self, outcome: ItemOutcome, count: int) -> None:
        """`count` items came to their end; each item does so exactly once."""

    def item_looked_up(self, result: LookUp) -> None:
        """An item had a stored answer, joined an identical one in flight, or had to run."""

    def run_stopped(self) -> None:
        """A run was stopped, because nobody waited for any of its items any more."""


class NoObserver:
    """Listens to nothing."""

    def queue_opened(
        self,
        depth: Callable[[], int],
        limit: int,
        seconds: Callable[[], float],
        limit_s: float,
    ) -> None:
        """Ignore it."""

    def queue_closed(self, depth: Callable[[], int]) -> None:
        """Ignore it."""

    def admitted(self) -> None:
        """Ignore it."""

    def batch_started(
        self,
        size: int,
        waits_s: Sequence[float],
        reason: ReleaseReason,
        origins: Sequence[object],
    ) -> None:
        """Ignore it."""

    def batch_predicted(self, predicted_s: float, seconds: float) -> None:
        """Ignore it."""

    def busy(self, by: int) -> None:
        """Ignore it."""

    def items_ended(self, outcome: ItemOutcome, count: int) -> None:
        """Ignore it."""

    def item_looked_up(self, result: LookUp) -> None:
        """Ignore it."""

    def run_stopped(self) -> None:
        """Ignore it."""

"""Runs a short item that is alone on the event loop itself, without a hand-off to a worker.

Waking a worker and being woken by it takes longer than a short item runs. While one runs, the loop
answers nobody, so an item must be alone, short by prediction and quick to prepare.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from service.batching.cost import LatencyModel
from service.batching.desk import BatchWorker, Desk
from service.batching.queueing import QueuedItem

P = TypeVar("P")

LONGEST_S = 0.003
COMPANY_S = 0.1  # others came while one ran: workers serve them side by side for so long


class Inline(Generic[P]):
    """Used on the event loop alone. `worker` delivers at once; `turn_now` gives a core to hold, or
    None where one would have to be waited for; `is_quick` tells parts that take microseconds to
    prepare.
    """

    def __init__(
        self,
        worker: BatchWorker[P, Any],
        desk: Desk[P, Any],
        model: LatencyModel,
        *,
        workers: int,
        is_quick: Callable[[P], bool],
        turn_now: Callable[[], AbstractContextManager[None] | None],
    ) -> None:
        self._worker = worker
        self._desk = desk
        self._model = model
        self._is_parallel = workers > 1
        self._is_quick = is_quick
        self._turn_now = turn_now
        self._company_until_s = 0.0
        self._just_ran = False

    def suits(self, new: Sequence[QueuedItem[P]]) -> bool:
        """Whether these, which are about to enter, are one short item with nothing before it."""
        if self._is_parallel and self._has_company():
            return False
        return (
            len(new) == 1
            and self._model.trusted
            and self._model.seconds(1, new[0].cost) <= LONGEST_S
            and self._desk.line.idle
            and self._is_quick(new[0].part)
        )

    def soon(self) -> None:
        """Run the item that entered once all that came together with it has entered too."""
        asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        ran, turn = False, self._turn_now()
        if turn is not None:
            with turn:
                ran = self._worker.run_lone()
        if not ran:
            self._desk.line.wake()
        elif self._is_parallel:
            self._just_ran = True
            loop = asyncio.get_running_loop()
            # Two rounds of the loop: whatever came during the run is read before the second.
            loop.call_soon(loop.call_soon, self._forget)

    def _forget(self) -> None:
        self._just_ran = False

    def _has_company(self) -> bool:
        now_s = self._desk.clock()
        if self._just_ran:
            self._company_until_s = now_s + COMPANY_S
        return now_s < self._company_until_s

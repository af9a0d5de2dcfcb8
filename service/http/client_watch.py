"""Notices a client that leaves while its answer is being made."""

import asyncio
from types import TracebackType

from service.errors import Cancelled
from service.http.exchange import Exchange

# A watcher is a task, which costs more than the whole of a quick request; who leaves sooner
# than this costs one item at most.
WATCH_AFTER_S = 0.05


class ClientWatch:
    """`with ClientWatch(exchange):` interrupts the block once the client has left.

    Costs one timer, and a task only for a block that takes longer than `after_s` seconds.
    To be used when the body is read: from then on the only news is that the client left.
    """

    __slots__ = ("_after_s", "_exchange", "_task", "_timer")

    def __init__(self, exchange: Exchange, after_s: float = WATCH_AFTER_S) -> None:
        self._exchange = exchange
        self._after_s = after_s
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._after_s, self._begin)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        if await self._exchange.client_left():
            self._exchange.interrupt(Cancelled("The client left before its answer was ready."))

"""Notices a client that leaves while its answer is being made, where only waiting tells."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType

from service.errors import Cancelled, ServiceError

# A watcher is a task, which costs more than the whole of a quick request; who leaves sooner
# than this costs one item at most.
WATCH_AFTER_S = 0.05
LEFT = "The client left before its answer was ready."


class ClientWatch:
    """`with ClientWatch(client_left, interrupt):` interrupts the block once the client has left.

    Costs one timer, and a task only for a block that takes longer than `after_s` seconds.
    To be used when the body is read: from then on the only news is that the client left, for
    which `client_left` waits.
    """

    __slots__ = ("_after_s", "_client_left", "_interrupt", "_task", "_timer")

    def __init__(
        self,
        client_left: Callable[[], Awaitable[bool]],
        interrupt: Callable[[ServiceError], None],
        after_s: float = WATCH_AFTER_S,
    ) -> None:
        self._client_left = client_left
        self._interrupt = interrupt
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
        if await self._client_left():
            self._interrupt(Cancelled(LEFT))

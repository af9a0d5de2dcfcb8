"""A front end's end: asks the engine for answers, and comes back to it when it was replaced."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from model_zoo.manifest import Manifest, Precision
from service.batching.batcher import Progress
from service.batching.policy import Priority
from service.errors import DeadlineExceeded, NotReady, ServiceError
from service.link.doors import EngineDoor
from service.link.frames import Link, Message, Payload
from service.link.wire import pack_part, unpack_answer, unpack_error
from service.repository.models import BrokenModel
from service.tracing.current import served

log = logging.getLogger("slipway.link")

AGAIN_S = 0.05  # between two attempts to find an engine
GRACE_S = 0.5  # after a deadline, for which the engine answers; beyond it stands still
AWAY = "The engine is being started; try again in a few seconds."
LOST = "The engine stopped while it worked on this; send it again."
LATE = "The engine did not answer by the deadline; ask for less or wait longer."


class EngineAway(NotReady):
    """There is no engine, or it went away before it answered: it counts nothing of this."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the engine tells of one live model."""

    name: str
    version: int
    variant: Precision
    most_parts: int


@dataclass(slots=True, eq=False)
class _Call:
    """What waits for an answer of the engine."""

    answer: asyncio.Future[Any]
    manifest: Manifest | None = None
    on_progress: Progress | None = None
    told: Told | None = None
    priority: Priority = "interactive"


class EngineLink:
    """Finds the engine at `path` for as long as `keep` runs.

    `met` hears which models are live whenever an engine is found, `lost` when it has gone.
    """

    def __init__(
        self,
        path: Path,
        met: Callable[[Sequence[Told], Sequence[BrokenModel]], None],
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._met = met
        self._was_lost = lost
        self._link: Link | None = None
        self._lost = asyncio.Event()
        self._numbers = count(1)
        self._calls: dict[int, _Call] = {}
        self._doors: defaultdict[tuple[str, int], EngineDoor] = defaultdict(EngineDoor)

    async def keep(self) -> None:
        """Connect, and again whenever the link is lost; run it as a task."""
        loop = asyncio.get_running_loop()
        while True:
            self._lost.clear()
            link = Link(self._took, lost=self._lose)
            try:
                await loop.create_unix_connection(lambda: link, str(self._path))  # noqa: B023
            except OSError:  # there is none yet, or it is being replaced
                await asyncio.sleep(AGAIN_S)
                continue
            self._link = link
            try:
                await self._lost.wait()
            finally:
                self._link = None
                link.close()
            log.warning("the engine is gone; waiting for the next")

    def require_engine(self) -> None:
        """Raise EngineAway while there is none."""
        if self._link is None:
            raise EngineAway(AWAY)

    @property
    def waiting(self) -> int:
        """How many calls wait for the engine."""
        return len(self._calls)

    def door(self, name: str, version: int) -> EngineDoor:
        """That of this model; there is one as soon as somebody asks for it."""
        return self._doors[name, version]

    async def ask(
        self,
        told: Told,
        manifest: Manifest,
        parts: Sequence[Any],
        costs: Sequence[int],
        *,
        deadline_s: float,
        priority: Priority,
        on_progress: Progress | None = None,
    ) -> list[Any]:
        """As `Batcher.submit_each`, in the engine. Raises EngineAway without one."""
        packed = [pack_part(part) for part in parts]
        loop, request = asyncio.get_running_loop(), served.get()
        trace = request.trace if request is not None else None
        answers: list[Any] = await self._call(
            _Call(loop.create_future(), manifest, on_progress, told, priority),
            deadline_s,
            "ask",
            [
                told.name,
                told.version,
                [said for said, _ in packed],
                list(costs),
                deadline_s,
                priority,
                on_progress is not None,
                request.request_id.decode("latin-1") if request is not None else "",
                trace.traceparent.decode("latin-1") if trace is not None else "",
            ],
            [payload for _, payload in packed],
        )
        return answers

    async def describe(self, timeout_s: float) -> list[dict[str, Any]]:
        """All live models, for people. Raises EngineAway and DeadlineExceeded."""
        call = _Call(asyncio.get_running_loop().create_future())
        found: list[dict[str, Any]] = await self._call(
            call, time.monotonic() + timeout_s, "describe", [], []
        )
        return found

    async def _call(
        self, call: _Call, deadline_s: float, kind: str, values: list[Any], payloads: list[bytes]
    ) -> Any:
        link = self._link
        if link is None:
            raise EngineAway(AWAY)
        number = next(self._numbers)
        link.send([kind, number, *values], *payloads)
        self._calls[number] = call
        loop = asyncio.get_running_loop()
        late_s = max(0.0, deadline_s - time.monotonic()) + GRACE_S
        timer = loop.call_later(late_s, _fail, call.answer, DeadlineExceeded(LATE))
        try:
            return await call.answer
        finally:
            timer.cancel()
            if self._calls.pop(number, None) is not None:  # nobody answered it
                link.send(["leave", number])

    def _took(self, message: Message, payload: Payload) -> None:
        kind, *values = message
        if kind == "live":
            live, broken = values
            self._met(
                [Told(*of_model) for of_model in live],
                [BrokenModel(*of_model) for of_model in broken],
            )
            return
        if kind == "opened":
            self.door(*values).open()
            return
        number, *rest = values
        call = self._calls.get(number)
        if call is None or call.answer.done():  # its client has left meanwhile
            return
        if kind == "known":
            self._progressed(call, *rest)
            return
        del self._calls[number]
        if kind == "refused":
            self._refused(call, *rest)
        elif call.manifest is None:
            call.answer.set_result(rest[0])
        else:
            call.answer.set_result([unpack_answer(found, call.manifest) for found in rest[0]])

    def _refused(
        self, call: _Call, packed: list[Any], cost: int | None = None, spare_s: float = 0.0
    ) -> None:
        call.answer.set_exception(unpack_error(packed))
        if cost is not None and call.told is not None:
            door = self.door(call.told.name, call.told.version)
            # another one: the first will be raised, and keep the frames of its request alive
            door.shut(call.priority, unpack_error(packed), cost, spare_s)

    def _progressed(self, call: _Call, place: int, told: Any) -> None:
        if call.on_progress is not None and call.manifest is not None:
            call.on_progress(place, unpack_answer(told, call.manifest))

    def _lose(self) -> None:
        self._link = None
        for door in self._doors.values():
            door.open()
        for call in self._calls.values():
            _fail(call.answer, EngineAway(LOST))
        self._lost.set()
        self._was_lost()


def _fail(answer: asyncio.Future[Any], error: ServiceError) -> None:
    if not answer.done():
        answer.set_exception(error)

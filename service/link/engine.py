"""The engine's end: takes parts from front ends and sends their answers back."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.batching.policy import Priority
from service.errors import ServiceError, UnknownModel
from service.link.frames import Link, Message, Payload
from service.link.wire import pack_answer, pack_error, unpack_part
from service.repository.live import ServedModel
from service.repository.models import Models
from service.tracing.current import RequestTrace, RequestTracer, served

log = logging.getLogger("slipway.link")

BACKLOG = 128
GONE = "This model is not live any more; /v1/models lists what is."


@dataclass(frozen=True, slots=True)
class AskedFor:
    """The request of a front end for which a part runs; see `ServedRequest`."""

    request_id: bytes
    trace: RequestTrace | None


@dataclass(frozen=True, slots=True)
class Ask:
    """A call as it came over the link."""

    call: int
    live: ServedModel | None
    parts: list[Any]
    costs: list[int]
    deadline_s: float
    priority: Priority
    is_followed: bool
    asked_for: AskedFor


class EngineEnd:
    """Listens at `path` for front ends and answers them from `models`.

    `describe` tells of all live models, for people. A front end that is lost takes back all that it
    asked for.
    """

    def __init__(
        self,
        path: Path,
        models: Models,
        *,
        describe: Callable[[], list[dict[str, Any]]],
        drain_s: float,
        tracer: RequestTracer | None = None,
    ) -> None:
        self.models = models
        self.describe = describe
        self.tracer = tracer
        self._path = path
        self._drain_s = drain_s
        self._leave = asyncio.Event()
        self._alone = asyncio.Event()
        self._alone.set()
        self._fronts: set[_Front] = set()
        self._shut: dict[tuple[str, int], set[_Front]] = {}

    async def serve(self) -> None:
        """Answer until `stop`, then until the last front end has gone, `drain_s` at most."""
        listener = await asyncio.to_thread(_bind, self._path)
        server = await asyncio.get_running_loop().create_unix_server(
            self._meet, sock=listener, backlog=BACKLOG
        )
        try:
            await self._leave.wait()
            async with asyncio.timeout(self._drain_s):
                await self._alone.wait()
        except TimeoutError:
            log.warning("front ends are still there; leaving", extra={"count": len(self._fronts)})
        finally:
            server.close()
            for front in tuple(self._fronts):
                front.link.close()

    def stop(self) -> None:
        """Return from `serve` soon."""
        self._leave.set()

    def _meet(self) -> Link:
        front = _Front(self)
        self._fronts.add(front)
        self._alone.clear()
        return front.link

    def model(self, name: str, version: int) -> ServedModel | None:
        """The live model of this name and version, if there is one."""
        for live in self.models.live:
            if live.name == name and live.version == str(version):
                return live
        return None

    def shut(self, live: ServedModel, front: _Front) -> None:
        """This one was told that all who ask the same are refused."""
        self._shut.setdefault(_key(live), set()).add(front)

    def changed(self, live: ServedModel) -> None:
        """Somebody has left: whoever comes next may be let in."""
        key = _key(live)
        for front in self._shut.pop(key, ()):
            front.link.send(["opened", *key])

    def forget(self, front: _Front) -> None:
        """This one has gone."""
        self._fronts.discard(front)
        for fronts in self._shut.values():
            fronts.discard(front)
        if not self._fronts:
            self._alone.set()


class _Front:
    """One front end, and what it waits for."""

    def __init__(self, end: EngineEnd) -> None:
        self.link = Link(self._took, made=self._greet, lost=self._lost)
        self._end = end
        self._running: dict[int, asyncio.Task[None]] = {}

    def _greet(self) -> None:
        models = self._end.models
        live = [
            [model.name, int(model.version), model.variant, model.batcher.most_parts]
            for model in models.live
        ]
        broken = [[found.name, found.version, found.reason] for found in models.broken]
        self.link.send(["live", live, broken])

    def _took(self, message: Message, payload: Payload) -> None:
        kind, call, *values = message
        if kind == "ask":
            ask = self._read(call, payload, *values)
            if ask.live is not None and len(ask.parts) == 1 and self._refuses(ask, ask.live):
                return
            answering = self._answer(ask)
            task = self._running[call] = asyncio.get_running_loop().create_task(answering)
            task.add_done_callback(lambda _: self._running.pop(call))
        elif kind == "leave":
            if call in self._running:
                self._running[call].cancel()
        elif kind == "describe":
            self._describe(call)
        else:
            raise ValueError(f"nobody here knows {kind!r}")

    def _describe(self, call: int) -> None:
        try:
            self.link.send(["described", call, self._end.describe()])
        except Exception as error:  # which must not end what others ask on this link
            log.error("unexpected error", exc_info=error)
            self.link.send(["refused", call, pack_error(error)])

    def _read(  # noqa: PLR0913  # what stands in the message
        self,
        call: int,
        payload: Payload,
        name: str,
        version: int,
        parts: list[list[Any]],
        costs: list[int],
        deadline_s: float,
        priority: Priority,
        is_followed: bool,
        request_id: str,
        traceparent: str,
    ) -> Ask:
        tracer = self._end.tracer if traceparent else None
        return Ask(
            call,
            self._end.model(name, version),
            [unpack_part(part, payload) for part in parts],
            costs,
            deadline_s,
            priority,
            is_followed,
            AskedFor(
                request_id.encode(),
                tracer.joined(traceparent.encode()) if tracer is not None else None,
            ),
        )

    def _refuses(self, ask: Ask, live: ServedModel) -> bool:
        """Whether this one is refused at the door; then the front end need not send others."""
        spare_s = ask.deadline_s - time.monotonic()
        error = live.batcher.refusal(ask.priority, spare_s, lambda: ask.costs[0])
        if error is None:
            return False
        cost = live.batcher.refused_from(error)
        self.link.send(["refused", ask.call, pack_error(error), cost, spare_s])
        if cost is not None:
            self._end.shut(live, self)
        return True

    async def _answer(self, ask: Ask) -> None:
        served.set(ask.asked_for)  # for this task alone

        def follow(place: int, known: Any) -> None:
            self.link.send(["known", ask.call, place, pack_answer(known)])

        try:
            if ask.live is None:
                raise UnknownModel(GONE)
            answers = await ask.live.batcher.submit_each(
                ask.parts,
                costs=ask.costs,
                deadline=ask.deadline_s,
                priority=ask.priority,
                on_progress=follow if ask.is_followed else None,
            )
            self.link.send(["answers", ask.call, [pack_answer(answer) for answer in answers]])
        except ServiceError as error:
            self.link.send(["refused", ask.call, pack_error(error)])
        except Exception as error:
            log.error("unexpected error", exc_info=error)
            self.link.send(["refused", ask.call, pack_error(error)])
        finally:
            if ask.live is not None:
                self._end.changed(ask.live)

    def _lost(self) -> None:
        for task in tuple(self._running.values()):
            task.cancel()
        self._end.forget(self)


def _key(live: ServedModel) -> tuple[str, int]:
    return live.name, int(live.version)


def _bind(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # of an engine that died
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    return listener

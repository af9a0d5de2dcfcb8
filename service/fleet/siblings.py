"""What the workers ask of each other: whether they are ready, and what they have counted.

Each answers on a Unix socket in the supervisor's private folder; whoever is asked from outside
asks all others. Questions and answers are one line of JSON each.
"""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from service.errors import NotReady, ServiceError
from service.fleet.merging import Page
from service.fleet.seat import Seat

log = logging.getLogger("slipway.fleet")

ANSWER_S = 2.0
LONGEST_LINE = 64 << 20


class Siblings:
    """One worker among the others. `require_ready` raises NotReady while this one is not."""

    def __init__(
        self, seat: Seat, registry: CollectorRegistry, require_ready: Callable[[], None]
    ) -> None:
        self._seat = seat
        self._registry = registry
        self._require_ready = require_ready
        self._before = Page()  # what former workers in this seat have told
        self._telling = threading.Lock()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Answer the others from now on."""
        self._before = Page(await asyncio.to_thread(_read_told, self._seat))
        listener = await asyncio.to_thread(_bind, self._seat.socket_of(self._seat.number))
        self._server = await asyncio.start_unix_server(
            self._answer, sock=listener, limit=LONGEST_LINE
        )

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()

    async def require_all_ready(self) -> None:
        """Raise NotReady unless all are; what a load balancer asks."""
        self._require_ready()
        answers = await asyncio.gather(*map(self._ask_ready, self._seat.others))
        waiting = [n for n, ok in zip(self._seat.others, answers, strict=True) if not ok]
        if waiting:
            raise NotReady(
                f"{len(waiting)} of {self._seat.count} workers are not ready; try again in a few "
                "seconds."
            )

    async def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page of all workers together, and its content type."""
        pages = await asyncio.gather(*map(self._ask_page, self._seat.others))
        return await asyncio.to_thread(self._merge, pages, accept)

    # Asking

    async def _ask_ready(self, number: int) -> bool:
        answer = await self._ask(number, "ready")
        return answer is not None and bool(answer["ready"])

    async def _ask_page(self, number: int) -> Iterable[Mapping[str, Any]]:
        answer = await self._ask(number, "page")
        if answer is not None:
            return _families(answer)
        # It is being replaced: what was told of it before still counts.
        return await asyncio.to_thread(self._told_by, number)

    async def _ask(self, number: int, question: str) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._converse(number, question)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            return None

    async def _converse(self, number: int, question: str) -> dict[str, Any]:
        path = self._seat.socket_of(number)
        reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_LINE)
        try:
            writer.write(question.encode() + b"\n")
            answer: dict[str, Any] = orjson.loads(await reader.readuntil(b"\n"))
            return answer
        finally:
            writer.close()

    # Answering

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            question = (await reader.readline()).strip()
            if question == b"page":
                answer = await asyncio.to_thread(self._own_page)
            else:
                answer = {"ready": self._is_ready()}
            writer.write(orjson.dumps(answer, option=orjson.OPT_NON_STR_KEYS) + b"\n")
            await writer.drain()
        writer.close()

    def _is_ready(self) -> bool:
        try:
            self._require_ready()
        except ServiceError:
            return False
        return True

    def _own_page(self) -> dict[str, Any]:
        return {"families": self._page().plain()}

    def _page(self) -> Page:
        """What this seat has counted. Kept in a file, so that the next worker in it goes on there:
        a sum that falls would look like a restart of everything."""
        told = self._seat.told_by(self._seat.number)
        with self._telling:  # from the counting on: an older page must not follow a newer one
            page = Page.of(self._registry)
            page.add(self._before.plain())
            fresh = told.with_suffix(".new")
            fresh.write_bytes(orjson.dumps(page.only_counts().plain()))
            fresh.replace(told)
        return page

    def _told_by(self, number: int) -> Iterable[Mapping[str, Any]]:
        return _read(self._seat.told_by(number))

    def _merge(
        self, pages: Iterable[Iterable[Mapping[str, Any]]], accept: str
    ) -> tuple[bytes, str]:
        page = self._page()
        for other in pages:
            page.add(other)
        encode, content_type = choose_encoder(accept)
        return encode(page.registry()), content_type


def _bind(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # of one that died in this seat
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    return listener


def _families(answer: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    families: Iterable[Mapping[str, Any]] = answer["families"]
    return families


def _read_told(seat: Seat) -> Iterable[Mapping[str, Any]]:
    return _read(seat.told_by(seat.number)) if seat.replacement else ()


def _read(path: Path) -> Iterable[Mapping[str, Any]]:
    try:
        families: Iterable[Mapping[str, Any]] = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):  # it died before it told anything
        return ()
    return families

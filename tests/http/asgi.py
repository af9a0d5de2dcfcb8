"""Speaks ASGI to an application by hand: what arrives when is the test's to say."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import ASGIApp, Message


@dataclass
class Conversation:
    """One request, message by message; `leave` hangs up."""

    method: str = "POST"
    path: str = "/"
    query: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()
    sent: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.answered = asyncio.Event()

    def scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "path": self.path,
            "raw_path": self.path.encode(),
            "root_path": "",
            "query_string": self.query,
            "headers": list(self.headers),
            "scheme": "http",
            "server": ("test", 80),
            "client": ("test", 1),
            "state": {},
        }

    def body(self, *chunks: bytes, complete: bool = True) -> "Conversation":
        for index, chunk in enumerate(chunks):
            more = not complete or index < len(chunks) - 1
            self._incoming.put_nowait({"type": "http.request", "body": chunk, "more_body": more})
        return self

    def leave(self) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> Message:
        return await self._incoming.get()

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def with_(self, app: ASGIApp) -> "Answer":
        await app(self.scope(), self.receive, self.send)
        return Answer(self.sent)


class Answer:
    """What came back."""

    def __init__(self, messages: Iterable[Message]) -> None:
        start, *parts = messages
        self.status: int = start["status"]
        self.headers: dict[bytes, bytes] = dict(start["headers"])
        self.body: bytes = b"".join(part["body"] for part in parts)

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

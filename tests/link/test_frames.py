"""Messages on their way: together in one write, whole however the bytes come."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.link.frames import HEAD, Frames, Link, Message, Payload

pytestmark = pytest.mark.anyio


def frame(messages: bytes, payload: bytes = b"") -> bytes:
    return HEAD.pack(len(messages), len(payload)) + messages + payload


TWO = frame(b'[["a",2],["b",3]]', b"xxyyy") + frame(b'[["c"]]')


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, len(TWO)])
def test_frames_are_whole_wherever_they_are_cut(size: int) -> None:
    frames = Frames()
    found: list[tuple[Message, bytes]] = []
    for begin in range(0, len(TWO), size):
        for messages, payload in frames.feed(TWO[begin : begin + size]):
            found += [(m, payload.take(m[1]) if len(m) > 1 else b"") for m in messages]
    assert found == [(["a", 2], b"xx"), (["b", 3], b"yyy"), (["c"], b"")]


def test_a_message_cannot_take_what_its_frame_does_not_have() -> None:
    payload = Payload(b"....xxy", 4)
    assert payload.take(2) == b"xx"
    with pytest.raises(ValueError, match="more bytes"):
        payload.take(2)


class End:
    """One end, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[Message, bytes]] = []
        self.made = self.lost = 0
        self.news = asyncio.Event()
        self.link = Link(self._took, made=self._meet, lost=self._lose)

    def _took(self, message: Message, payload: Payload) -> None:
        if message[0] == "odd":
            raise ValueError("odd")
        self.heard.append((message, payload.take(message[1])))
        self.news.set()

    def _meet(self) -> None:
        self.made += 1

    def _lose(self) -> None:
        self.lost += 1
        self.news.set()

    async def hears(self, count: int) -> None:
        while len(self.heard) < count:
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 10)

    async def loses(self) -> None:
        while not self.lost:
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 10)


class Pair:
    """Two ends of one connection."""

    def __init__(self, here: End, there: End, server: asyncio.Server) -> None:
        self.here = here
        self.there = there
        self._server = server

    def close(self) -> None:
        self.here.link.close()
        self._server.close()


@pytest.fixture
async def pair(tmp_path: Path) -> Any:
    loop, here, there = asyncio.get_running_loop(), End(), End()
    path = str(tmp_path / "link")
    server = await loop.create_unix_server(lambda: there.link, path)
    await loop.create_unix_connection(lambda: here.link, path)
    found = Pair(here, there, server)
    yield found
    found.close()


async def test_both_ends_hear_what_the_other_sends(pair: Pair) -> None:
    pair.here.link.send(["one", 3], b"abc")
    pair.here.link.send(["two", 0])
    pair.here.link.send(["three", 2], b"d", b"e")
    await pair.there.hears(3)
    assert pair.there.heard == [(["one", 3], b"abc"), (["two", 0], b""), (["three", 2], b"de")]
    pair.there.link.send(["four", 1], b"f")
    await pair.here.hears(1)
    assert pair.here.heard == [(["four", 1], b"f")]
    assert (pair.here.made, pair.there.made) == (1, 1)


async def test_what_is_sent_in_one_turn_is_one_write() -> None:
    class Transport:
        def __init__(self) -> None:
            self.written: list[bytes] = []

        def write(self, data: bytes) -> None:
            self.written.append(data)

    end, transport = End(), Transport()
    end.link.connection_made(transport)  # type: ignore[arg-type]
    end.link.send(["a", 2], b"xx")
    end.link.send(["b", 3], b"yyy")
    assert transport.written == []
    await asyncio.sleep(0)
    assert transport.written == [frame(b'[["a",2],["b",3]]', b"xxyyy")]
    end.link.send(["c"])
    await asyncio.sleep(0)
    assert transport.written[1:] == [frame(b'[["c"]]')]
    await asyncio.sleep(0)
    assert len(transport.written) == 2


async def test_nothing_is_written_to_a_connection_that_is_lost() -> None:
    class Transport:
        def write(self, data: bytes) -> None:
            raise AssertionError(data)

    end = End()
    end.link.connection_made(Transport())  # type: ignore[arg-type]
    end.link.connection_lost(None)
    end.link.send(["nobody", 0])
    await asyncio.sleep(0)
    assert end.lost == 1


async def test_large_loads_arrive_whole(pair: Pair) -> None:
    payload = bytes(range(256)) * 40_000
    pair.here.link.send(["large", len(payload)], payload)
    pair.here.link.send(["small", 1], b"!")
    await pair.there.hears(2)
    assert pair.there.heard == [(["large", len(payload)], payload), (["small", 1], b"!")]


async def test_who_closes_has_sent_everything_before(pair: Pair) -> None:
    pair.here.link.send(["last", 3], b"end")
    pair.here.link.close()
    await pair.there.loses()
    assert pair.there.heard == [(["last", 3], b"end")]
    await pair.here.loses()
    assert (pair.here.lost, pair.there.lost) == (1, 1)
    pair.here.link.send(["nobody", 0])  # hears this
    pair.there.link.close()


async def test_nonsense_ends_the_connection(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    pair.here.link.send(["odd", 0])
    await pair.here.loses()
    await pair.there.loses()
    assert pair.there.heard == []
    assert "makes no sense" in caplog.text

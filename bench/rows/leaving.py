"""Clients that leave while they wait in the queue: how many of their items run all the same."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator

from bench.place import Place
from bench.row import Row
from bench.serving import Serving, serving
from service.load.connection import Connection
from service.load.words import sentence

LEAVERS = 200
# Something to do while the others queue: so many requests of so many texts, so long that none has
# ended, and given its place to one who was about to leave, before all have left.
BLOCKERS, TEXTS, WORDS = 3, 64, 900
SETTLE_S = 20.0


def measure(place: Place) -> Iterator[Row]:
    """One row."""
    with serving(place, "--max-queue-size", "1000", "--request-timeout-s", "120") as server:
        yield asyncio.run(_leave(server))


async def _leave(server: Serving) -> Row:
    draw = random.Random(0)
    before = _executed(server)
    blockers = [await _ask(server, _post(server, _long(draw))) for _ in range(BLOCKERS)]
    # all different, since equal items in flight may run once
    texts = [f"{sentence(draw)} {place}" for place in range(LEAVERS)]
    leavers = [await _ask(server, _post(server, text)) for text in texts]
    await _until(lambda: _depth(server) >= LEAVERS)
    waiting = _depth(server)
    for connection in leavers:
        connection.close()
    await _until(lambda: _depth(server) == 0 and _inflight(server) <= 1)
    executed = _executed(server) - before - BLOCKERS * TEXTS
    for connection in blockers:
        connection.close()
    return Row(
        "leaving",
        f"{LEAVERS} clients that leave while queued: not executed",
        1 - max(0.0, executed) / LEAVERS,
        0.99,
        detail=f"{executed:.0f} of {LEAVERS} ran; {waiting:.0f} items waited when they left",
    )


def _long(draw: random.Random) -> list[str]:
    return [" ".join(sentence(draw) for _ in range(WORDS // 19)) for _ in range(TEXTS)]


def _post(server: Serving, text: str | list[str]) -> bytes:
    body = json.dumps({"text": text}).encode()
    return server.target.post("/v1/sentiment", body, "application/json")


async def _ask(server: Serving, request: bytes) -> Connection:
    connection = Connection(lambda *_: None)
    host, port = server.target.host, server.target.port
    await asyncio.get_running_loop().create_connection(lambda: connection, host, port)
    connection.send(request)
    return connection


async def _until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + SETTLE_S
    while not await asyncio.to_thread(condition):
        if time.monotonic() > end_s:
            raise RuntimeError("the queue did not come to where it should")
        await asyncio.sleep(0.02)


def _depth(server: Serving) -> float:
    return server.total("slipway_queue_depth")


def _executed(server: Serving) -> float:
    return server.total("slipway_inferences_total")


def _inflight(server: Serving) -> float:
    return server.total("slipway_inflight_requests")

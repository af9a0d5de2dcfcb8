"""Every request has exactly one outcome: after 10,000 of all kinds the counters add up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence

from bench.place import Place
from bench.row import Row
from bench.serving import Serving, serving
from service.load.connection import Connection
from service.load.drive import connect_to, run_open
from service.load.native import JSON, TASKS, native_requests
from service.load.schedule import poisson
from service.load.target import Target

REQUESTS = 10_000
LEAVERS = 200
RATE = 1500.0


def measure(place: Place) -> Iterator[Row]:
    """One row."""
    with serving(place, "--max-queue-size", "64") as server:
        yield asyncio.run(_count(server))


async def _count(server: Serving) -> Row:
    requests = _mixed(server.target)
    before = _outcomes(server)
    schedule = poisson(RATE, 2 * REQUESTS / RATE)[: REQUESTS - LEAVERS]
    sending = asyncio.ensure_future(run_open(connect_to(server.target), requests, schedule))
    await asyncio.sleep(0.5)
    for place in range(LEAVERS):
        await _ask_and_leave(server.target, requests[place])
    samples = await sending
    await asyncio.sleep(1.0)
    after = _outcomes(server)
    counted = {name: round(after[name] - before[name]) for name in after}
    total, sent = sum(counted.values()), len(samples.status) + LEAVERS
    return Row(
        "counting",
        f"outcome counters after {REQUESTS} mixed requests ÷ requests sent",
        total / sent,
        1.0,
        sense="=",
        detail=f"{total} counted, {sent} sent: "
        + ", ".join(f"{name} {count}" for name, count in counted.items() if count),
        figures=counted,
    )


def _mixed(target: Target) -> list[bytes]:
    """Good ones of all tasks, bad ones of all kinds, and some that cannot be in time."""
    hurried = Target(target.host, target.port, {"x-request-timeout-ms": "5"})
    bad = [
        target.post("/v1/sentiment", b"{", JSON),
        target.post("/v1/sentiment", b'{"text": 7}', JSON),
        target.post("/v1/classify", b"no image", "image/jpeg"),
        target.post("/v1/translate?model=nobody", b'{"text": "Hello."}', JSON),
        target.post("/v1/nowhere", b"{}", JSON),
    ]
    mixed = [one for task in TASKS for one in native_requests(target, task, count=60)]
    mixed += [one for task in TASKS for one in native_requests(hurried, task, count=10)]
    mixed += bad * 4
    random.Random(0).shuffle(mixed)
    return mixed


async def _ask_and_leave(target: Target, request: bytes) -> None:
    """Hang up as soon as the request is out."""
    connection = Connection(lambda *_: None)
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: connection, target.host, target.port)
    connection.send(request)
    await asyncio.sleep(0.005)
    connection.close()


OUTCOMES: Sequence[str] = (
    "ok",
    "client_error",
    "shed",
    "expired",
    "cancelled",
    "failed",
    "not_ready",
)


def _outcomes(server: Serving) -> dict[str, float]:
    """By outcome, the pages that only look at the service left out."""
    return {
        name: server.total("slipway_requests_total", outcome=name)
        - server.total("slipway_requests_total", outcome=name, endpoint="/metrics")
        for name in OUTCOMES
    }

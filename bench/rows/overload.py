"""Three times more than the service can do, without end: what it still answers, and how fast."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from bench.closed_loop import turn
from bench.place import Place
from bench.row import Row
from bench.serving import Serving, serving
from service.load.drive import connect_to, run_open
from service.load.native import TASKS, NativeTask, native_requests
from service.load.samples import Samples, summarise
from service.load.schedule import poisson
from service.load.target import Target

DEADLINE_S = 1.0
TIMES = 3.0
SECONDS = 60.0
# Capacity is what comes out when there is always a choice of what to run together.
CLIENTS = 128
# Many, since equal items in flight may run once.
PAYLOADS = 4096


def measure(place: Place) -> Iterator[Row]:
    """A minute of it for each task."""
    with serving(place) as server:
        for task in TASKS:
            yield from asyncio.run(_task(place, server, task, place.seconds(SECONDS)))


async def _task(place: Place, server: Serving, task: NativeTask, seconds: float) -> list[Row]:
    plain = native_requests(server.target, task, count=PAYLOADS)
    timed = Target(
        server.target.host,
        server.target.port,
        {"x-request-timeout-ms": f"{DEADLINE_S * 1000:.0f}"},
    )
    requests = native_requests(timed, task, count=PAYLOADS)
    await turn(server, plain, CLIENTS, 1.0)
    before = await turn(server, plain, CLIENTS, place.seconds(5.0))
    rate = TIMES * before.rate
    samples = await _push(server, requests, rate, seconds)
    after = await turn(server, plain, CLIENTS, place.seconds(5.0))
    capacity = (before.rate + after.rate) / 2
    seen = summarise(samples, seconds, offered=len(samples.status), slo_s=DEADLINE_S)
    accepted = seen.latency_ms or {"p99": float("inf")}
    refused = seen.refusal_ms or {"p99": 0.0}
    said = f"{task}, {seconds:.0f} s at {rate:.0f}/s"
    return [
        Row(
            f"overload goodput {task}",
            f"{TIMES:g}× overload, open loop, {task}: goodput ÷ capacity",
            seen.good_per_s / capacity,
            0.95,
            detail=f"{said}: {seen.good_per_s:.0f} of {capacity:.0f}/s in time; answers by "
            f"status: {seen.statuses}",
            figures=seen.as_json(),
        ),
        Row(
            f"overload accepted {task}",
            f"{TIMES:g}× overload, {task}: p99 of the accepted ÷ their deadline",
            accepted["p99"] / 1000 / DEADLINE_S,
            1.0,
            sense="≤",
            detail=f"{accepted['p99']:.0f} ms of {DEADLINE_S * 1000:.0f} ms",
        ),
        Row(
            f"overload refusal {task}",
            f"{TIMES:g}× overload, {task}: p99 of a refusal",
            refused["p99"],
            20.0,
            sense="≤",
            unit=" ms",
            detail=f"p50 {refused.get('p50', 0.0):.1f} ms; the load's own lag p99 "
            f"{seen.lag_p99_ms:.1f} ms",
        ),
    ]


async def _push(server: Serving, requests: Sequence[bytes], rate: float, seconds: float) -> Samples:
    return await run_open(connect_to(server.target), requests, poisson(rate, seconds))

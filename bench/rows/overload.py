"""Three times more than the service can do, without end: what it still answers, and how fast."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import mean

from bench.closed_loop import turn
from bench.place import Place
from bench.row import Row
from bench.serving import Serving, serving
from service.load.drive import connect_to, run_open
from service.load.native import TASKS, NativeTask, native_requests
from service.load.samples import OK, Samples, summarise
from service.load.schedule import poisson
from service.load.target import Target

DEADLINE_S = 1.0
TIMES = 3.0
SECONDS = 60.0
# Between them what the machine can do is measured again: that changes within a minute.
STRETCHES, TURN_S = 5, 2.0
LEAST_S = 3.0  # of a stretch, of which the first second fills the queue
# Capacity is what comes out when there is always a choice of what to run together.
CLIENTS = 128
# Many, since equal items in flight may run once.
PAYLOADS = 4096


def measure(place: Place) -> Iterator[Row]:
    """A minute of it for each task."""
    with serving(place) as server:
        for task in TASKS:
            yield from asyncio.run(_task(place, server, task))


async def _task(place: Place, server: Serving, task: NativeTask) -> list[Row]:
    stretch_s = max(LEAST_S, place.seconds(SECONDS / STRETCHES))
    plain = native_requests(server.target, task, count=PAYLOADS)
    timed = Target(
        server.target.host,
        server.target.port,
        {"x-request-timeout-ms": f"{DEADLINE_S * 1000:.0f}"},
    )
    requests = native_requests(timed, task, count=PAYLOADS)
    await turn(server, plain, CLIENTS, 1.0)
    capacities = [await _capacity(place, server, plain, 0)]
    stretches: list[Samples] = []
    for stretch in range(STRETCHES):
        stretches.append(await _push(server, requests, TIMES * capacities[-1], stretch_s))
        capacities.append(await _capacity(place, server, plain, stretch + 1))
    samples = Samples.together(stretches)
    seen = summarise(samples, STRETCHES * stretch_s, offered=len(samples.status), slo_s=DEADLINE_S)
    accepted = seen.latency_ms or {"p99": float("inf")}
    refused = seen.refusal_ms or {"p99": 0.0}
    good = [good_per_s(stretch, stretch_s) for stretch in stretches]
    around = [mean(pair) for pair in pairwise(capacities)]
    said = f"{task}, {STRETCHES} × {stretch_s:.0f} s at {seen.offered_per_s:.0f}/s"
    return [
        Row.of_rounds(
            f"overload goodput {task}",
            f"{TIMES:g}× overload, open loop, {task}: goodput ÷ capacity",
            [found / capacity for found, capacity in zip(good, around, strict=True)],
            0.95,
            detail=f"{said}: {mean(good):.0f} of {mean(around):.0f}/s in time; answers by "
            f"status: {seen.statuses}",
            figures=seen.as_json() | {"good_rates": good, "capacities": capacities},
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


def good_per_s(samples: Samples, seconds: float) -> float:
    """Answers in time, once there is a queue and until no more requests are sent: what waits then
    is answered without any overload, and does not count."""
    if not samples.status:
        return 0.0
    began_s = min(samples.intended_s)
    columns = zip(samples.intended_s, samples.done_s, samples.status, strict=True)
    within = [
        done
        for intended, done, status in columns
        if status == OK and done - intended <= DEADLINE_S and DEADLINE_S <= done - began_s < seconds
    ]
    return len(within) / (seconds - DEADLINE_S)


async def _capacity(
    place: Place, server: Serving, requests: Sequence[bytes], measured: int
) -> float:
    """Answers a second, each time to others of the requests: `measured` were before."""
    first = PAYLOADS * measured // (STRETCHES + 1)
    others = [*requests[first:], *requests[:first]]
    return (await turn(server, others, CLIENTS, place.seconds(TURN_S))).rate


async def _push(server: Serving, requests: Sequence[bytes], rate: float, seconds: float) -> Samples:
    return await run_open(connect_to(server.target), requests, poisson(rate, seconds))

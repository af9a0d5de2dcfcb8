"""What a model feels of another one on the same core that is asked for more than it can do."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Sequence

from bench.place import Place
from bench.row import Row
from bench.serving import Serving, serving
from service.load.drive import connect_to, run_closed, run_open
from service.load.native import native_requests
from service.load.samples import Summary, summarise
from service.load.schedule import poisson
from service.load.words import sentence

RATE = 20.0
CLIENTS = 64


def measure(place: Place) -> Iterator[Row]:
    """One row."""
    with serving(place) as server:
        yield asyncio.run(_compare(place, server))


async def _compare(place: Place, server: Serving) -> Row:
    draw = random.Random(0)
    bodies = [json.dumps({"text": sentence(draw)}).encode() for _ in range(128)]
    feelings = [server.target.post("/v1/sentiment", b, "application/json") for b in bodies]
    await _sentiment(server, feelings, 2.0)
    seconds = place.seconds(16.0)
    alone = await _sentiment(server, feelings, seconds)
    captions = native_requests(server.target, "translate")
    saturating = asyncio.ensure_future(
        run_closed(connect_to(server.target), captions, clients=CLIENTS, seconds=seconds + 2.0)
    )
    await asyncio.sleep(1.0)
    beside = await _sentiment(server, feelings, seconds)
    samples, took_s = await saturating
    assert alone.latency_ms is not None
    assert beside.latency_ms is not None
    return Row(
        "neighbours",
        "translation saturated: p99 of sentiment ÷ its unloaded p99",
        beside.latency_ms["p99"] / alone.latency_ms["p99"],
        2.5,
        sense="≤",
        detail=f"{beside.latency_ms['p99']:.1f} against {alone.latency_ms['p99']:.1f} ms "
        f"(p50 {beside.latency_ms['p50']:.1f} against {alone.latency_ms['p50']:.1f}); sentences "
        f"of 19 words, {RATE:g}/s; beside {len(samples.status) / took_s:.0f} translations/s",
        figures={"alone": alone.as_json(), "beside": beside.as_json()},
    )


async def _sentiment(server: Serving, requests: Sequence[bytes], seconds: float) -> Summary:
    samples = await run_open(connect_to(server.target), requests, poisson(RATE, seconds))
    return summarise(samples, seconds)

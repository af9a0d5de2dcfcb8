"""One turn of closed-loop load on a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.serving import Serving
from service.load.drive import connect_to, run_closed
from service.load.samples import OK, summarise


@dataclass(frozen=True, slots=True)
class Turn:
    """Answers a second, the latency, and the server's processor seconds an answer."""

    rate: float
    took_s: float
    p50_ms: float
    p99_ms: float
    cpu_s: float


async def turn(server: Serving, requests: Sequence[bytes], clients: int, seconds: float) -> Turn:
    """Keep so many clients busy; RuntimeError if anything but a 200 comes back."""
    before_s = server.cpu_s()
    samples, took_s = await run_closed(
        connect_to(server.target), requests, clients=clients, seconds=seconds
    )
    used_s = server.cpu_s() - before_s
    seen = summarise(samples, took_s)
    if set(seen.statuses) != {OK} or seen.latency_ms is None:
        raise RuntimeError(f"the service answered {seen.statuses}")
    return Turn(
        seen.ok_per_s,
        took_s,
        seen.latency_ms["p50"],
        seen.latency_ms["p99"],
        used_s / seen.requests,
    )

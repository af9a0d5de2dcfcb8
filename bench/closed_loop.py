"""One turn of closed-loop load on a service."""

from __future__ import annotations

import socket
import time
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


def polled_rate(server: Serving, requests: Sequence[bytes], seconds: float) -> float:
    """Answers a second to one client that looks for its answer instead of sleeping until it comes:
    what the server does, less what it costs this machine to wake a client."""
    with socket.create_connection((server.target.host, server.target.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        began_s, count = time.perf_counter(), 0
        while time.perf_counter() - began_s < seconds:
            connection.send(requests[count % len(requests)])
            if not _poll(connection).startswith(b"HTTP/1.1 200 "):
                raise RuntimeError("the service gave no answer")
            count += 1
        return count / (time.perf_counter() - began_s)


def _poll(connection: socket.socket) -> bytes:
    """A small answer, which comes in one piece."""
    while True:
        try:
            return connection.recv(1 << 16)
        except BlockingIOError:
            continue


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

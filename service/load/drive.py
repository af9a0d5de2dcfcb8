"""The two loops. Open: requests leave when they are due, whatever the server does. Closed: each
client asks again when it has its answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from service.load.connection import BROKEN, Connection
from service.load.errors import LoadError
from service.load.samples import Samples
from service.load.target import Target

MAX_CONNECTIONS = 1024
GRACE_S = 30.0

Clock = Callable[[], float]
Connect = Callable[[Callable[[], Connection]], Awaitable[object]]


def connect_to(target: Target) -> Connect:
    """Opens connections to it on the running event loop."""

    async def connect(make: Callable[[], Connection]) -> object:
        return await asyncio.get_running_loop().create_connection(make, target.host, target.port)

    return connect


@dataclass(slots=True)
class _Job:
    request: bytes
    intended_s: float
    sent_s: float | None = None


@dataclass(slots=True)
class Pool:
    """As many connections as there are requests on the way, up to a bound; the rest wait here.

    Waiting here counts: a latency begins when the request was meant to be sent.
    """

    connect: Connect
    most: int = MAX_CONNECTIONS
    clock: Clock = time.perf_counter
    on_answer: Callable[[int], None] | None = None
    samples: Samples = field(default_factory=Samples)
    _idle: list[Connection] = field(default_factory=list)
    _waiting: deque[_Job] = field(default_factory=deque)
    _running: dict[Connection, _Job] = field(default_factory=dict)
    _opening: set[asyncio.Task[None]] = field(default_factory=set)
    _empty: asyncio.Event = field(default_factory=asyncio.Event)
    _error: Exception | None = None

    async def open(self, count: int) -> None:
        """So many connections ahead of the first request; LoadError if nobody is there."""
        for _ in range(count):
            await self._open_one()
        if self._error is not None:
            raise LoadError(f"cannot connect: {self._error}; is the server up?") from self._error

    def submit(self, request: bytes, intended_s: float) -> None:
        """Send now, or as soon as a connection is free."""
        self._waiting.append(_Job(request, intended_s))
        self._send_next()

    async def drained(self, grace_s: float) -> None:
        """Until every answer is here, but no longer than `grace_s`."""
        if self._running or self._waiting:
            self._empty.clear()
            # those without an answer are missing in the samples, and counted as such
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace_s)

    def close(self) -> None:
        """Hang up."""
        for task in self._opening:
            task.cancel()
        for connection in (*self._idle, *self._running):
            connection.close()
        self._running.clear()
        self._waiting.clear()

    def _send_next(self) -> None:
        while self._waiting:
            connection = self._take_idle()
            if connection is None:
                opened = len(self._running) + len(self._opening)
                if len(self._opening) < len(self._waiting) and opened < self.most:
                    task = asyncio.ensure_future(self._open_one())
                    self._opening.add(task)
                    task.add_done_callback(self._opening.discard)
                return
            job = self._waiting.popleft()
            self._running[connection] = job
            job.sent_s = self.clock()
            connection.send(job.request)

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _open_one(self) -> None:
        connection = Connection(self._answered)
        try:
            await self.connect(lambda: connection)
        except OSError as error:
            self._error = error
            if self._waiting:
                self._record(self._waiting.popleft(), BROKEN)
            return
        self._idle.append(connection)
        self._send_next()

    def _answered(self, connection: Connection, status: int) -> None:
        job = self._running.pop(connection)
        if connection.is_open:
            self._idle.append(connection)
        self._record(job, status)
        self._send_next()

    def _record(self, job: _Job, status: int) -> None:
        now_s = self.clock()
        sent_s = now_s if job.sent_s is None else job.sent_s
        self.samples.add(job.intended_s, sent_s, now_s, status)
        if self.on_answer is not None:
            self.on_answer(status)
        if not self._running and not self._waiting:
            self._empty.set()


async def run_open(
    connect: Connect,
    requests: Sequence[bytes],
    schedule: Sequence[float],
    *,
    clock: Clock = time.perf_counter,
    on_answer: Callable[[int], None] | None = None,
    most: int = MAX_CONNECTIONS,
    grace_s: float = GRACE_S,
) -> Samples:
    """Send the requests, round and round, at the scheduled seconds after now.

    What has no answer `grace_s` after the last one was due is missing in the samples.
    """
    pool = Pool(connect, most, clock, on_answer)
    await pool.open(1)
    began_s = clock()
    try:
        for number, at_s in enumerate(schedule):
            wait_s = began_s + at_s - clock()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            pool.submit(requests[number % len(requests)], began_s + at_s)
        await pool.drained(grace_s)
    finally:
        pool.close()
    return pool.samples


async def run_closed(
    connect: Connect,
    requests: Sequence[bytes],
    *,
    clients: int,
    seconds: float,
    clock: Clock = time.perf_counter,
    on_answer: Callable[[int], None] | None = None,
    grace_s: float = GRACE_S,
) -> tuple[Samples, float]:
    """Keep so many requests on the way; what came back, and how long it really took."""
    pool = Pool(connect, clients, clock)
    await pool.open(clients)
    began_s = clock()
    following = cycle(requests)

    def ask(status: int) -> None:
        if on_answer is not None:
            on_answer(status)
        if clock() - began_s < seconds:
            pool.submit(next(following), clock())

    pool.on_answer = ask
    try:
        for _ in range(clients):
            pool.submit(next(following), clock())
        await pool.drained(seconds + grace_s)
    finally:
        pool.close()
    return pool.samples, clock() - began_s

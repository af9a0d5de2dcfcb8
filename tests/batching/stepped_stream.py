"""A model for continuous batching that a test steers step by step."""

import threading
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import anyio.to_thread

from service.errors import InvalidInput
from tests.batching.doubles import turn

REFUSED, DEADLY = -1, -2


class SteppedStream:
    """A model whose part says how many steps it takes; each step waits to be let through."""

    def __init__(self, capacity: int = 4) -> None:
        self.capacity = capacity
        self.rows: dict[int, int] = {}
        self.parts: dict[int, int] = {}
        self.joined: list[list[int]] = []
        self.evicted: list[int] = []
        self.before_step: Callable[[], None] = lambda: None
        self.known: Callable[[int, int], Any] = lambda part, steps: steps
        self.asked: list[int] = []
        self._tickets = count()
        self._entered = threading.Semaphore(0)
        self._gate = threading.Semaphore(0)

    @property
    def free(self) -> int:
        return self.capacity - len(self.rows)

    def admit(self, parts: Sequence[int]) -> list[int | Exception]:
        self.joined.append(list(parts))
        return [self._seat(part) for part in parts]

    def _seat(self, part: int) -> int | Exception:
        if part == REFUSED:
            return InvalidInput("bad")
        ticket = next(self._tickets)
        self.rows[ticket], self.parts[ticket] = part, part
        return ticket

    def step(self) -> list[tuple[int, Any]]:
        self._entered.release()
        self._gate.acquire()
        self.before_step()
        if DEADLY in self.rows.values():
            self.rows.clear()
            raise SystemExit("dead")
        for ticket in self.rows:
            self.rows[ticket] -= 1
        done = [ticket for ticket, left in self.rows.items() if left <= 0]
        for ticket in done:
            del self.rows[ticket]
        return [(ticket, self.parts[ticket] * 10) for ticket in done]

    def evict(self, ticket: int) -> None:
        del self.rows[ticket]
        self.evicted.append(self.parts[ticket])

    def progress(self, ticket: int) -> Any:
        part = self.parts[ticket]
        self.asked.append(part)
        return self.known(part, part - self.rows[ticket])

    def let_through(self, steps: int = 1) -> None:
        self._gate.release(steps)

    def has_entered(self) -> bool:
        """Whether one more step has begun within ten seconds; holds up the event loop."""
        return self._entered.acquire(timeout=10.0)

    async def entered(self) -> None:
        """Wait until a step has begun."""
        assert await anyio.to_thread.run_sync(self.has_entered), "no step came"

    async def steps(self, number: int) -> None:
        """Let that many steps through, and wait for the next one to begin."""
        for _ in range(number):
            self.let_through()
            await self.entered()
        await turn()

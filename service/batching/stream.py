"""Continuous batching: items join and leave a run between its steps, instead of sharing a batch.

For models that answer step by step, such as translators: a short item does not wait for the long
ones beside it, and the places of those that end are taken at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from service.batching.desk import Desk
from service.batching.isolation import shown
from service.batching.queueing import QueuedItem

P = TypeVar("P")
R = TypeVar("R")
P_in = TypeVar("P_in", contravariant=True)
R_out = TypeVar("R_out", covariant=True)


class Stream(Protocol[P_in, R_out]):
    """A run that goes on. Each worker thread opens one of its own and is its only user."""

    @property
    def free(self) -> int:
        """How many parts may join before the next step."""
        ...

    def admit(self, parts: Sequence[P_in]) -> Sequence[int | Exception]:
        """A ticket for each part, in order, or the error of a part that cannot join."""
        ...

    def step(self) -> Sequence[tuple[int, R_out | Exception]]:
        """Go one step further; the tickets that are done, with their answers or errors."""
        ...

    def evict(self, ticket: int) -> None:
        """Forget a part whose answer nobody wants any more."""
        ...


@dataclass(frozen=True, slots=True)
class Streaming(Generic[P, R]):
    """Asks a batcher to work continuously; `open` is called in each worker thread."""

    open: Callable[[], Stream[P, R]]


class StreamWorker(Generic[P, R]):
    """One thread's share of the work: admit, evict, step, answer; see `Workers`."""

    def __init__(self, stream: Stream[P, R], desk: Desk[P, R]) -> None:
        self._stream = stream
        self._desk = desk
        self._resident: dict[int, QueuedItem[P]] = {}
        self._worked_s = 0.0

    def __call__(self) -> bool:
        """Take whoever may join, run one step, send the answers; False when all is over."""
        line = self._desk.line
        joining = line.take_now(self._stream.free) if self._resident else self._desk.take()
        if not joining and not self._resident:
            return False
        began_s = self._desk.clock()
        try:
            refused = self._admit(joining, began_s) if joining else []
            self._evict_unwanted(began_s)
            done = self._stream.step() if self._resident else []
        except BaseException:
            items = [*dict.fromkeys([*self._resident.values(), *joining])]
            self._resident.clear()
            self._desk.send_failures(items)
            raise
        self._worked_s += self._desk.clock() - began_s
        answered = [(self._resident.pop(ticket), answer) for ticket, answer in done]
        self._send([*refused, *answered])
        return True

    def _admit(
        self, items: Sequence[QueuedItem[P]], now_s: float
    ) -> list[tuple[QueuedItem[P], Exception]]:
        self._desk.started(items, now_s)
        refused: list[tuple[QueuedItem[P], Exception]] = []
        tickets = self._stream.admit([item.part for item in items])
        for item, ticket in zip(items, tickets, strict=True):
            if isinstance(ticket, Exception):
                refused.append((item, ticket))
            else:
                self._resident[ticket] = item
        return refused

    def _evict_unwanted(self, now_s: float) -> None:
        """Whoever expired or left in the middle of the run makes room at once."""
        unwanted = [t for t, item in self._resident.items() if not item.is_wanted(now_s)]
        for ticket in unwanted:
            self._stream.evict(ticket)
        if unwanted:
            # They have their end already; this only tells that they are no longer in work.
            self._desk.send_failures([self._resident.pop(ticket) for ticket in unwanted])

    def _send(self, answered: Sequence[tuple[QueuedItem[P], R | Exception]]) -> None:
        if not answered:
            return
        answers = [shown(a) if isinstance(a, Exception) else a for _, a in answered]
        self._desk.send([item for item, _ in answered], answers, self._worked_s)
        self._worked_s = 0.0

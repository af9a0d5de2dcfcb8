"""Counts that wait to be counted: many in a row cost a third of what each costs between other work,
where the processor's caches are full of something else.
"""

from collections.abc import Callable, Iterable
from threading import Lock
from typing import TypeVar

from prometheus_client import Counter, Histogram, Metric

MOST = 256  # a fifth of a millisecond to settle

Note = TypeVar("Note")


class Backlog:
    """What was noted is settled when a series is read, or when there is enough of it.

    Safe for threads: whoever adds to a list does so at its end, and who settles takes from its
    beginning. `sources` are called first of all: they count what was noted elsewhere.
    """

    def __init__(self) -> None:
        self.sources: list[Callable[[], None]] = []
        self._counted: list[tuple[Counter, float]] = []
        self._observed: list[tuple[Histogram, float]] = []
        self._settling = Lock()

    def count(self, counter: Counter, amount: float) -> None:
        """Add `amount` before anybody reads the counter."""
        self._counted.append((counter, amount))
        if len(self._counted) >= MOST:
            self.settle(waits=False)

    def observe(self, histogram: Histogram, amount: float) -> None:
        """Observe `amount` before anybody reads the histogram."""
        self._observed.append((histogram, amount))
        if len(self._observed) >= MOST:
            self.settle(waits=False)

    def settle(self, *, waits: bool = True) -> None:
        """Count all that was noted; where another thread is at it, wait for its end, or do not."""
        if not self._settling.acquire(blocking=waits):
            return
        try:
            for source in self.sources:
                source()
            sums: dict[Counter, float] = {}
            for counter, amount in taken(self._counted):
                sums[counter] = sums.get(counter, 0.0) + amount
            for counter, amount in sums.items():
                Counter.inc(counter, amount)
            for histogram, amount in taken(self._observed):
                Histogram.observe(histogram, amount)
        finally:
            self._settling.release()


def taken(notes: list[Note]) -> list[Note]:
    """All notes, which are no longer in the list; whoever adds one meanwhile loses none."""
    found = notes[:]
    del notes[: len(found)]
    return found


def counter_of(backlog: Backlog) -> type[Counter]:
    """Counters that count later."""

    class LaterCounter(Counter):
        def inc(self, amount: float = 1.0, exemplar: dict[str, str] | None = None) -> None:
            if exemplar is None:
                backlog.count(self, amount)
            else:
                super().inc(amount, exemplar)

        def collect(self) -> Iterable[Metric]:
            backlog.settle()
            return super().collect()

    return LaterCounter


def histogram_of(backlog: Backlog) -> type[Histogram]:
    """Histograms that observe later."""

    class LaterHistogram(Histogram):
        def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
            if exemplar is None:
                backlog.observe(self, amount)
            else:
                super().observe(amount, exemplar)

        def collect(self) -> Iterable[Metric]:
            backlog.settle()
            return super().collect()

    return LaterHistogram

"""One pod: a queue with a limit, workers that take what is there, and batches that take time.

Who goes into a batch with whom is decided by the server's own policy.
"""

import heapq
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import inf

from service.batching.company import RunSeconds
from service.batching.policy import BatchPolicy

LOOK_AHEAD = 4  # batches' worth of waiting items, as in the server


@dataclass(frozen=True, slots=True)
class Server:
    """What every pod of a fleet is. `seconds[length index][batch size]` as in LatencyTable.

    With `run_s`, what a batch is expected to take, a batch is padded to its longest item and made
    of items alike; without it each item takes its own share of the time.
    """

    lengths: Sequence[int]
    seconds: Sequence[Sequence[float]]
    workers: int = 2
    max_batch_size: int = 32
    max_queue_size: int = 128
    deadline_s: float = 30.0
    run_s: RunSeconds | None = None

    @property
    def policy(self) -> BatchPolicy:
        """That of the server; it looks ahead where items are padded to each other's length."""
        ahead = LOOK_AHEAD * self.max_batch_size if self.run_s else 0
        return BatchPolicy(
            max_batch_size=self.max_batch_size,
            max_queue_size=self.max_queue_size,
            look_ahead=ahead,
        )

    def batch_s(self, lengths: Sequence[int]) -> float:
        """What a batch of items with these indices of length takes."""
        size = len(lengths)
        if self.run_s is not None or len(self.seconds) == 1:
            return self.seconds[max(lengths)][size]
        return sum(self.seconds[length][size] for length in lengths) / size

    def work_s(self, counts: Sequence[int]) -> float:
        """Until an idle pod has taken all of so many items a length, in full batches of a kind.

        The server estimates its queue alike: each item by its share of a full batch.
        """
        full = self.max_batch_size
        shares = zip(counts, self.seconds, strict=True)
        return sum(count * row[full] / full for count, row in shares) / self.workers


@dataclass(slots=True)
class Outcome:
    """What became of the items of a fleet."""

    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))
    arrived: int = 0
    shed: int = 0
    expired: int = 0

    @property
    def unanswered(self) -> float:
        """The share of all items that got no answer."""
        return (self.shed + self.expired) / self.arrived if self.arrived else 0.0


class Pod:
    """Exact: every batch begins when a worker is free and somebody waits, as in the server."""

    def __init__(self, server: Server, outcome: Outcome, ready_s: float = 0.0) -> None:
        self.ready_s = ready_s
        self._server = server
        self._outcome = outcome
        self._queue: deque[tuple[float, int]] = deque()
        self._free = [ready_s] * server.workers
        self._policy = server.policy
        self._passed_over = 0  # batches that went before who is the oldest now

    @property
    def waiting(self) -> int:
        """Items in the queue, as far as `run` has come."""
        return len(self._queue)

    @property
    def queue_s(self) -> float:
        """Seconds until all of them were taken."""
        counts = [0] * len(self._server.seconds)
        for _, length in self._queue:
            counts[length] += 1
        return self._server.work_s(counts)

    @property
    def idle_s(self) -> float:
        """When the last worker is free, if nothing more comes."""
        return max(self._free)

    def run(self, arrivals: Sequence[float], lengths: Sequence[int], until_s: float = inf) -> None:
        """Let these arrive, in order and before `until_s`, and begin every batch that is due."""
        self._outcome.arrived += len(arrivals)
        at, queue, free = 0, self._queue, self._free
        while queue or at < len(arrivals):
            start_s = max(free[0], queue[0][0] if queue else arrivals[at])
            if start_s >= until_s:
                break
            at = self._admit(arrivals, lengths, at, start_s)
            self._begin(start_s)
        self._admit(arrivals, lengths, at, until_s)

    def _admit(
        self, arrivals: Sequence[float], lengths: Sequence[int], at: int, now_s: float
    ) -> int:
        queue, limit = self._queue, self._server.max_queue_size
        while at < len(arrivals) and arrivals[at] <= now_s:
            if len(queue) < limit:
                queue.append((arrivals[at], lengths[at]))
            else:
                self._outcome.shed += 1
            at += 1
        return at

    def _begin(self, start_s: float) -> None:
        server, queue, outcome = self._server, self._queue, self._outcome
        while queue and start_s - queue[0][0] > server.deadline_s:
            queue.popleft()
            outcome.expired += 1
        if not queue:
            return
        if len(queue) > 1 and server.run_s is not None:
            batch = self._choose(start_s)
        else:
            batch = [queue.popleft() for _ in range(min(len(queue), server.max_batch_size))]
        end_s = start_s + server.batch_s([length for _, length in batch])
        heapq.heapreplace(self._free, end_s)
        outcome.latencies_s.extend([end_s - arrived_s for arrived_s, _ in batch])

    def _choose(self, start_s: float) -> list[tuple[float, int]]:
        queue, lengths = self._queue, self._server.lengths
        window = list(islice(queue, self._policy.window))
        spare_s = queue[0][0] + self._server.deadline_s - start_s
        costs = [lengths[length] for _, length in window]
        choice = self._policy.choose(
            costs, run_s=self._server.run_s, spare_s=spare_s, passed_over=self._passed_over
        )
        places = set(choice.places)
        self._passed_over = 0 if 0 in places else self._passed_over + 1
        for _ in window:
            queue.popleft()
        queue.extendleft(
            item for place, item in reversed([*enumerate(window)]) if place not in places
        )
        return [item for place, item in enumerate(window) if place in places]

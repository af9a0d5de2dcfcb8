"""Continuous arrival for decoders whose rows must be at the same step.

Newcomers cannot join those who are under way, so they form a cohort of their own, and the cohorts
take turns, a step each. A step costs nearly the same for one row as for eight, so a second cohort
begins only beside one that is late: whoever came first is through sooner, and the others too.
"""

from collections import deque
from collections.abc import Sequence
from itertools import count

from model_zoo.preprocessing import TranslationInput
from service.runtime.cohort import Cohort
from service.runtime.optimum import OptimumGraphs
from service.runtime.session import Abort
from service.runtime.slot_decoder import DEFAULT_SLOTS, Source
from service.runtime.slots import Generated

# By then sentences of ordinary length have ended; nobody waits longer for one that does not.
LATE_STEPS = 48
MAX_COHORTS = 2
FEWEST = 1 / 4  # of the capacity must be free for newcomers beside others


class CohortDecoder:
    """Up to `capacity` rows in a few cohorts. For one thread; the graphs may be shared."""

    def __init__(
        self, graphs: OptimumGraphs, spec: TranslationInput, capacity: int = DEFAULT_SLOTS
    ) -> None:
        self._graphs = graphs
        self._spec = spec
        self._capacity = capacity
        self._cohorts: deque[Cohort] = deque()  # whose turn it is comes first
        self._homes: dict[int, Cohort] = {}
        self._tickets = count()

    @property
    def free(self) -> int:
        """Sentences that had better join now; none where it is better that more of them gather."""
        if len(self._cohorts) == MAX_COHORTS or any(c.age < LATE_STEPS for c in self._cohorts):
            return 0
        room = self._capacity - self.active
        return room if room >= FEWEST * self._capacity else 0

    @property
    def active(self) -> int:
        """Sentences that are under way."""
        return len(self._homes)

    def admit(self, sources: Sequence[Source], abort: Abort | None = None) -> list[int]:
        """Encode the newcomers, who are a cohort from now on; a ticket for each, in order.

        ValueError if there is no room for them, or the encoder's error; then none was admitted.
        """
        room = self._capacity - self.active
        if len(sources) > room:
            raise ValueError(f"there is room for {room}, which is too little for the newcomers")
        if not sources:
            return []
        tickets = [next(self._tickets) for _ in sources]
        cohort = Cohort(self._graphs, self._spec, dict(zip(tickets, sources, strict=True)), abort)
        self._cohorts.append(cohort)
        self._homes.update(dict.fromkeys(tickets, cohort))
        return tickets

    def step(self, abort: Abort | None = None) -> list[tuple[int, Generated]]:
        """One more token for the cohort whose turn it is; who is done, with the answers.

        Raises InferenceFailed, or Cancelled by `abort`; then `clear` is all that may follow.
        """
        if not self._cohorts:
            return []
        cohort = self._cohorts[0]
        self._cohorts.rotate(-1)
        done = cohort.step(abort)
        for ticket, _ in done:
            del self._homes[ticket]
        if not cohort.active:
            self._cohorts.remove(cohort)
        return done

    def evict(self, ticket: int) -> None:
        """Give up one sentence; it costs nothing from the next step on."""
        cohort = self._homes.pop(ticket)
        cohort.drop(ticket)
        if not cohort.active:
            self._cohorts.remove(cohort)

    def written(self, ticket: int) -> list[int]:
        """The ids that a sentence has so far."""
        return self._homes[ticket].written(ticket)

    def clear(self) -> None:
        """Forget every sentence."""
        self._cohorts.clear()
        self._homes.clear()

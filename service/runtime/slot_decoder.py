"""The decode loop's engine: sentences join and leave a running decoder at every step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import numpy as np

from model_zoo.preprocessing import TranslationInput
from service.runtime.beam import Beam
from service.runtime.collate import group_rows, pack_ids
from service.runtime.session import Abort, Binding, Session, Tensor
from service.runtime.shortlist import Candidates, Shortlist
from service.runtime.slots import Generated, Slots
from service.runtime.transformer import ENCODER_INPUTS, cache_dtype, cross_outputs

DEFAULT_SLOTS = 32
# A target longer than twice its source and a little is a model going round in circles.
EXTRA_TARGET_TOKENS = 16


class Source(Protocol):
    """A sentence's features, as far as this room looks at them: ids with the end token, width."""

    @property
    def ids(self) -> Tensor: ...
    @property
    def beam(self) -> int: ...


@dataclass(slots=True)
class Tenant:
    """One sentence in the decoder, and the slots that it has."""

    ticket: int
    rows: list[int]


NOBODY = Tenant(-1, [])


class SlotDecoder:
    """Rows of any age, one step at a time. For one thread; the sessions may be shared.

    `greedy=False` searches width 1 by the beam's code too, which must change nothing.
    """

    def __init__(
        self,
        encoder: Session,
        decoder: Session,
        spec: TranslationInput,
        capacity: int = DEFAULT_SLOTS,
        *,
        shortlist: Shortlist | None = None,
        greedy: bool = True,
    ) -> None:
        self._encoder = encoder
        self._decoder = decoder
        self._spec = spec
        self._greedy = greedy
        self._shortlist = shortlist
        self._candidates: Candidates | None = None
        if shortlist is not None:
            self._candidates = Candidates(shortlist, capacity)
        self._slots = Slots(spec, capacity, cache_dtype(decoder.inputs), self._candidates)
        self._bindings: dict[tuple[int, bool], Binding] = {}
        self._owners: list[Tenant] = []
        self._holes: list[int] = []
        self._tenants: dict[int, Tenant] = {}
        self._beams: dict[int, Beam] = {}
        self._tickets = count()

    @property
    def free(self) -> int:
        """Rows that may be admitted now; a sentence takes as many as its beam is wide."""
        return self._slots.capacity - self.active

    @property
    def active(self) -> int:
        """Rows that the next step will run."""
        return self._slots.count - len(self._holes)

    def admit(self, sources: Sequence[Source], abort: Abort | None = None) -> list[int]:
        """Encode the newcomers and give them slots; a ticket for each, in order.

        ValueError if there are not slots enough, or the encoder's error; then none was admitted.
        """
        if sum(source.beam for source in sources) > self.free:
            raise ValueError(f"{self.free} slots are free, which is too few for the newcomers")
        if not self.active:
            self._close_holes()  # memory is only given back with no row in use
        if self._slots.reserve(
            source=max(len(source.ids) for source in sources),
            target=max(target_limit(self._spec, len(source.ids)) for source in sources),
        ):
            self._bindings.clear()
        tickets: list[int] = []
        try:
            for group in group_rows([len(source.ids) for source in sources]):
                tickets += self._admit_group(sources[group], abort)
        except Exception:
            for ticket in tickets:
                self.evict(ticket)
            raise
        return tickets

    def _admit_group(self, sources: Sequence[Source], abort: Abort | None) -> list[int]:
        packed = pack_ids([source.ids for source in sources])
        names = cross_outputs(self._spec)
        found = self._encoder.run(dict(zip(ENCODER_INPUTS, packed, strict=True)), names, abort)
        cross = [found[name] for name in names]
        ids, _, segments = packed
        chosen = None if self._shortlist is None else self._shortlist.of(ids, segments)
        ends = np.cumsum([len(source.ids) for source in sources]).tolist()
        starts = [0, *ends[:-1]]
        tickets = []
        for place, (source, start, end) in enumerate(zip(sources, starts, ends, strict=True)):
            tenant = self._seat(source, cross, slice(start, end))
            if self._candidates is not None and chosen is not None:
                for row in tenant.rows:
                    self._candidates.put(row, chosen[place])
            tickets.append(tenant.ticket)
        return tickets

    def _seat(self, source: Source, cross: Sequence[Tensor], span: slice) -> Tenant:
        limit = target_limit(self._spec, len(source.ids))
        rows = [self._row(cross, span, limit) for _ in range(source.beam)]
        tenant = Tenant(next(self._tickets), rows)
        if source.beam > 1 or not self._greedy:
            self._beams[tenant.ticket] = Beam(self._slots, rows, self._spec.eos_id)
        for row in rows:
            self._owners[row] = tenant
        self._tenants[tenant.ticket] = tenant
        return tenant

    def _row(self, cross: Sequence[Tensor], span: slice, limit: int) -> int:
        if self._holes:
            return self._slots.add(cross, span, limit, self._holes.pop())
        self._owners.append(NOBODY)
        return self._slots.add(cross, span, limit)

    def step(self, abort: Abort | None = None) -> list[tuple[int, Generated]]:
        """One more token for every row; the tickets and answers of those that are done.

        Raises InferenceFailed, or Cancelled by `abort`; then `clear` is all that may follow.
        """
        self._close_holes()
        self._decoder.run_bound(self._binding(logits=bool(self._beams)), abort)
        for beam in self._beams.values():
            beam.choose()
        self._slots.advance()
        done = [*self._finished_greedy(), *self._finished_beams()]
        for ticket, _ in done:
            self.evict(ticket)
        return done

    def _finished_greedy(self) -> Iterator[tuple[int, Generated]]:
        for row in self._slots.ended():
            ticket = self._owners[row].ticket
            if ticket not in self._beams:
                yield ticket, self._slots.generated(row)

    def _finished_beams(self) -> Iterator[tuple[int, Generated]]:
        for ticket, beam in self._beams.items():
            result = beam.result()
            if result is not None:
                yield ticket, result

    def evict(self, ticket: int) -> None:
        """Free the slots of one sentence, for those who join before the next step."""
        self._beams.pop(ticket, None)
        self._holes += self._tenants.pop(ticket).rows

    def _close_holes(self) -> None:
        """Move the last rows into the holes that no newcomer took."""
        for row in sorted(self._holes, reverse=True):
            moved = self._slots.remove(row)
            mover = self._owners.pop()
            if moved != row:
                self._owners[row] = mover
                mover.rows[mover.rows.index(moved)] = row
        self._holes.clear()

    def written(self, ticket: int) -> list[int] | None:
        """The ids that a sentence has so far; None while a beam has not settled on any."""
        if ticket in self._beams:
            return None
        return self._slots.written(self._tenants[ticket].rows[0])

    def clear(self) -> None:
        """Forget every row; the memory stays for the next ones."""
        self._slots.count = 0
        self._owners.clear()
        self._holes.clear()
        self._tenants.clear()
        self._beams.clear()

    def _binding(self, *, logits: bool) -> Binding:
        # binding anew costs more than a small step, so there is one for each number of rows
        key = (self._slots.count, logits)
        if key not in self._bindings:
            self._bindings[key] = self._decoder.bind(
                self._slots.inputs(), self._slots.outputs(logits=logits)
            )
        return self._bindings[key]


def target_limit(spec: TranslationInput, source_tokens: int) -> int:
    """Target tokens, the end token included, after which a row is cut off."""
    return min(spec.max_target_tokens, 2 * source_tokens + EXTRA_TARGET_TOKENS)

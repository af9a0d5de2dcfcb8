"""Texts of any lengths read side by side, piece by piece: they join and leave between two pieces.

An LSTM's state, and the maximum and the sum of what it gave so far, are all that is needed to read
on (Hochreiter and Schmidhuber 1997), so no text is padded to another's length, and none waits for
the end of a longer one. A bidirectional network reads each text from both of its ends at once.

Shapes: N texts, T tokens of each at most, H hidden width of one direction, K classes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np

from model_zoo.manifest import Manifest
from model_zoo.preprocessing import TextInput
from service.runtime.collate import HasIds, check_ids, pad_ids
from service.runtime.errors import GraphMismatch
from service.runtime.forward import split_rows
from service.runtime.per_thread import PerThread
from service.runtime.session import Abort, Binding, Session, Tensor
from service.runtime.signature import Signature, TensorType

SLOTS = 64
# What a run costs beside its cells, measured on an LSTM of 128 units: for the call and for all that
# is done between two runs, in cells, and for each token of a piece, in texts.
RUN_CELLS = 120
STEP_TEXTS = 2
# A piece has a multiple of so many tokens, so that few shapes of memory are bound; readers want an
# even number.
GRAIN = 8
# What a run may cost, in cells, as far as GRAIN allows: newcomers and other models wait for it.
LONGEST_RUN = 1024
MOST_BINDINGS = 256
LOWEST = -1.0  # no state is ever lower
# What is known of a text that is not read to its end, with its width in H; 0 at first, but LOWEST.
STATE = {"state": 4, "highest": 2, "total": 2}


class Reading:
    """Up to `capacity` texts, each at a place of its own. For one thread; sessions may be shared.

    The first rows are in use; the hole that one leaves is taken by a newcomer or by the last.
    """

    def __init__(
        self, reader: Session, head: Session, spec: TextInput, capacity: int = SLOTS
    ) -> None:
        self._reader = reader
        self._head = head
        self._spec = spec
        self._capacity = capacity
        self._texts: list[Tensor] = []
        self._tickets: list[int] = []
        self._holes: list[int] = []
        self._rows: dict[int, int] = {}
        self._numbers = count()
        # the tokens from each text's beginning and from its end, and how many of them were read
        self._ids = np.full((2, capacity * spec.max_tokens), spec.pad_id, np.int64)
        self._read = np.zeros(capacity, np.int64)
        self._left = np.zeros(capacity, np.int64)
        self._starts = np.arange(capacity) * spec.max_tokens
        hidden = hidden_width(reader)
        self._state = {
            name: np.zeros((capacity, width * hidden), np.float32) for name, width in STATE.items()
        }
        self._bindings: dict[tuple[int, int], tuple[Binding, Tensor, Tensor]] = {}
        self.in_vain = 0  # cells of the last step that were behind the ends of their texts

    @property
    def free(self) -> int:
        """How many texts may be admitted now."""
        return self._capacity - self.active

    @property
    def active(self) -> int:
        """How many texts the next step reads on."""
        return len(self._rows)

    def admit(self, sources: Sequence[HasIds]) -> list[int]:
        """Give the newcomers rows; a ticket for each, in order. ValueError if there are too few."""
        if len(sources) > self.free:
            raise ValueError(f"{self.free} rows are free, which is too few for the newcomers")
        return [self._seat(source.ids) for source in sources]

    def _seat(self, ids: Tensor) -> int:
        if self._holes:
            row = self._holes.pop()
        else:
            row = len(self._texts)
            self._texts.append(ids)
            self._tickets.append(-1)
        ticket = next(self._numbers)
        self._texts[row], self._tickets[row], self._rows[ticket] = ids, ticket, row
        start, tokens = int(self._starts[row]), len(ids)
        self._ids[0, start : start + tokens] = ids
        self._ids[1, start : start + tokens] = ids[::-1]
        self._read[row], self._left[row] = 0, tokens
        for name, rows in self._state.items():
            rows[row] = LOWEST if name == "highest" else 0.0
        return ticket

    def step(self, abort: Abort | None = None) -> list[tuple[int, Tensor]]:
        """Read on in every text; the tickets and the logits [K] of those that have ended.

        Raises InferenceFailed, or Cancelled by `abort`; then `clear` is all that may follow.
        """
        self._close_holes()
        texts = len(self._texts)
        left_N, read_N = self._left[:texts], self._read[:texts]
        tokens = piece_of(left_N)
        binding, ids_2TN, lengths_N = self._binding(texts, tokens)
        places_TN = np.arange(tokens)[:, None] + (self._starts[:texts] + read_N)
        # what stands behind the end of a text is looked up, and counts for nothing
        np.take(self._ids, places_TN, axis=1, out=ids_2TN, mode="clip")
        np.minimum(left_N, tokens, out=lengths_N, casting="unsafe")
        self._reader.run_bound(binding, abort)
        self.in_vain = texts * int(lengths_N.max()) - int(lengths_N.sum())
        read_N += tokens
        left_N -= tokens
        return self._answers(np.flatnonzero(left_N <= 0).tolist(), abort)

    def _answers(self, rows: Sequence[int], abort: Abort | None) -> list[tuple[int, Tensor]]:
        if not rows:
            return []
        input_ids, attention_mask = pad_ids([self._texts[row] for row in rows], self._spec.pad_id)
        feeds = {"input_ids": input_ids, "attention_mask": attention_mask}
        feeds |= {name: self._state[name][rows] for name in ("highest", "total")}
        (logits_NK,) = self._head.run(feeds, abort=abort).values()
        tickets = [self._tickets[row] for row in rows]
        for ticket in tickets:
            self.evict(ticket)
        return list(zip(tickets, logits_NK, strict=True))

    def evict(self, ticket: int) -> None:
        """Free the row of one text, for those who join before the next step."""
        self._holes.append(self._rows.pop(ticket))

    def clear(self) -> None:
        """Forget every text."""
        for rows in (self._texts, self._tickets, self._holes, self._rows):
            rows.clear()
        self._ids.fill(self._spec.pad_id)  # one that no table has would break who comes after it

    def _close_holes(self) -> None:
        """Move the last texts into the holes that no newcomer took."""
        for hole in sorted(self._holes, reverse=True):
            text, ticket, last = self._texts.pop(), self._tickets.pop(), len(self._texts)
            if hole == last:
                continue
            self._texts[hole], self._tickets[hole], self._rows[ticket] = text, ticket, hole
            to, start, tokens = int(self._starts[hole]), int(self._starts[last]), len(text)
            self._ids[:, to : to + tokens] = self._ids[:, start : start + tokens]
            for numbers in (self._read, self._left):
                numbers[hole] = numbers[last]
            for rows in self._state.values():
                rows[hole] = rows[last]
        self._holes.clear()

    def _binding(self, texts: int, tokens: int) -> tuple[Binding, Tensor, Tensor]:
        """Bound memory for a piece, with its ids and lengths; the states are read and written in
        place."""
        key = (texts, tokens)
        if key not in self._bindings:
            if len(self._bindings) >= MOST_BINDINGS:
                self._bindings.clear()
            ids, lengths = np.zeros((2, tokens, texts), np.int64), np.zeros(texts, np.int32)
            state = {name: rows[:texts] for name, rows in self._state.items()}
            bound = self._reader.bind(
                {"ids": ids, "lengths": lengths, **state},
                {f"next_{name}": rows for name, rows in state.items()},
            )
            self._bindings[key] = bound, ids, lengths
        return self._bindings[key]


def piece_of(left_N: Tensor) -> int:
    """How many tokens to read next, with so many left in each text: where most are read for what a
    run costs, since texts that end within it are read on in vain."""
    longest, step = int(left_N.max()), len(left_N) + STEP_TEXTS
    tokens_P = np.arange(GRAIN, max(GRAIN, LONGEST_RUN // step) + GRAIN, GRAIN)
    useful_P = np.minimum(left_N, tokens_P[:, None]).sum(axis=1)
    # an LSTM goes no further than to the end of the longest
    cost_P = RUN_CELLS + np.minimum(tokens_P, longest) * step
    return int(tokens_P[np.argmax(useful_P / cost_P)])


def reader_signature(hidden: int) -> Signature:
    """The next tokens of each text from both of its ends, T an even number, and what is known."""
    state = {name: ("N", width * hidden) for name, width in STATE.items()}
    return Signature(
        "reader",
        (
            TensorType("ids", "int64", (2, "T", "N")),
            TensorType("lengths", "int32", ("N",)),
            *(TensorType(name, "float32", shape) for name, shape in state.items()),
        ),
        tuple(TensorType(f"next_{name}", "float32", shape) for name, shape in state.items()),
    )


def head_signature(manifest: Manifest, hidden: int) -> Signature:
    """The whole text again, for what is not the LSTM's, and what that left behind."""
    inputs = [TensorType.of(tensor) for tensor in manifest.inputs]
    inputs += [TensorType(n, "float32", ("N", STATE[n] * hidden)) for n in ("highest", "total")]
    return Signature(
        "head", tuple(inputs), tuple(TensorType.of(tensor) for tensor in manifest.outputs)
    )


def hidden_width(reader: Session) -> int:
    """H of a reader; GraphMismatch if it tells none."""
    for tensor in reader.inputs:
        if tensor.name == "total" and isinstance(tensor.shape[-1], int):
            return tensor.shape[-1] // STATE["total"]
    raise GraphMismatch("reader graph: no input 'total' of a fixed width")


class TextReader:
    """A text model's runner: token ids in, rows of logits out. Thread-safe."""

    def __init__(self, reader: Session, head: Session, manifest: Manifest, spec: TextInput) -> None:
        hidden = hidden_width(reader)
        reader.expect(reader_signature(hidden))
        head.expect(head_signature(manifest, hidden))
        self._reader = reader
        self._head = head
        self._spec = spec
        self._readings: PerThread[Reading] = PerThread()

    @property
    def placement(self) -> Mapping[str, int]:
        """Nodes of both graphs by the provider that runs them."""
        return Counter(self._reader.placement) + Counter(self._head.placement)

    def open_reading(self) -> Reading:
        """A reading of its own for one thread, over the sessions that all share."""
        return Reading(self._reader, self._head, self._spec)

    def check(self, features: HasIds) -> None:
        """Raise InvalidInput for an item that cannot be read."""
        check_ids(features.ids, self._spec.max_tokens)

    def run(self, features: Sequence[HasIds], abort: Abort | None = None) -> list[Tensor]:
        """One float32 row an item, in order; as texts end, those that wait take their rows."""
        if not features:
            return []
        for text in features:
            self.check(text)
        reading = self._readings.get(self.open_reading)
        rows: dict[int, Tensor] = {}
        places: dict[int, int] = {}
        entered = 0
        try:
            while len(rows) < len(features):
                joining = range(entered, min(len(features), entered + reading.free))
                tickets = reading.admit([features[place] for place in joining])
                places.update(zip(tickets, joining, strict=True))
                entered = joining.stop
                rows.update((places[ticket], row) for ticket, row in reading.step(abort))
        except BaseException:
            reading.clear()
            raise
        return split_rows(np.stack([rows[place] for place in range(len(features))]), len(features))

    def close(self) -> None:
        """Free the rows of this thread; those of others go with their threads."""
        self._readings.forget()

"""The decoder's memory: one slot a row, rows 0 to count-1 in use, axis B outermost everywhere.

A row keeps its slot while it lives, so a step needs no copy; a hole is filled by the last row.
Memory comes in doubling buckets, and the system commits only the pages that rows have touched.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model_zoo.preprocessing import TranslationInput
from service.runtime.session import Tensor
from service.runtime.shortlist import Candidates
from service.runtime.transformer import CROSS, DECODER_INPUTS, IN_PLACE, LAST, PAST

SMALLEST_BUCKET = 32
OVERSIZED = 4


class Generated(NamedTuple):
    """One row's answer: ids without the end token, mean log-probability per token with it."""

    ids: list[int]
    score: float
    finished: bool


class Slots:
    """State of up to `capacity` rows: caches, newest token, tokens so far, sum of scores.

    A row costs little to move: what is alike lies in one array, [2L, capacity, ...] for the keys
    and values of all layers, so that one copy moves it. What is copied are cells, the numbers of
    one head at one position: for more than 500 elements numpy lets go of the interpreter, and while
    another thread decodes it takes longer to get it back than to copy.
    """

    def __init__(
        self,
        spec: TranslationInput,
        capacity: int,
        dtype: str = "float32",
        candidates: Candidates | None = None,
    ) -> None:
        self._spec = spec
        self._dtype = np.dtype(dtype)
        self._candidates = candidates
        self.capacity = capacity
        self.count = 0
        self._state = np.zeros((4, capacity), np.int64)
        self.input_ids, self.position_ids, self.source_lengths, self.limits = self._state
        self.next_ids = np.zeros(capacity, np.int64)
        self.next_scores = np.zeros(capacity, np.float32)
        self.totals = np.zeros(capacity, np.float64)
        self.tokens = np.zeros((capacity, 0), np.int64)
        self._tokens_flat = self.tokens.reshape(-1)
        self.logits: Tensor | None = None
        self._rows = np.arange(capacity)
        self._cell = np.dtype((np.void, spec.head_size * self._dtype.itemsize))
        self._memory: dict[tuple[str, str], Tensor] = {
            PAST: self._empty(spec.heads, 0, spec.head_size),
            CROSS: self._empty(spec.heads, 0, spec.head_size),
            LAST: self._empty(1, spec.heads * spec.head_size),
        }
        self._cells = {names: memory.view(self._cell) for names, memory in self._memory.items()}

    def _empty(self, *row: int) -> Tensor:
        return np.zeros((2 * self._spec.layers, self.capacity, *row), self._dtype)

    def reserve(self, *, source: int, target: int) -> bool:
        """Make room for so many tokens a row. True if memory moved: bindings to it are dead.

        With no row in use, memory far larger than needed is given back.
        """
        moved = [self._fit(CROSS, source), self._fit(PAST, target)]
        return any(moved)

    def _fit(self, names: tuple[str, str], needed: int) -> bool:
        held = self._memory[names].shape[3]
        size = max(SMALLEST_BUCKET, 1 << (needed - 1).bit_length())
        oversized = self.count == 0 and held >= OVERSIZED * size
        if needed <= held and not oversized:
            return False
        memory = self._empty(self._spec.heads, size, self._spec.head_size)
        if self.count:
            memory[:, : self.count, :, :held] = self._memory[names][:, : self.count]
        self._memory[names], self._cells[names] = memory, memory.view(self._cell)
        if names is PAST:
            tokens = np.zeros((self.capacity, size), np.int64)
            if self.count:
                tokens[: self.count, :held] = self.tokens[: self.count]
            self.tokens, self._tokens_flat = tokens, tokens.reshape(-1)
        return True

    def add(self, cross: Sequence[Tensor], span: slice, limit: int, row: int | None = None) -> int:
        """A new row that starts at the encoder's output `span`; returns the row.

        `cross` holds [2H, N, D] a layer: the keys of every head, then the values. `limit` is the
        number of tokens, end included, after which the row is cut off. `row`: one in use that
        nobody needs any more, instead of a further one.
        """
        if row is None:
            row = self.count
            self.count += 1
        length = span.stop - span.start
        whole, last = self._cells[CROSS], self._cells[LAST]
        for layer, packed in enumerate(cross):
            both = slice(2 * layer, 2 * layer + 2)
            part = packed.view(self._cell)[:, span].reshape(2, self._spec.heads, length, 1)
            whole[both, row, :, :length] = part
            last[both, row, 0] = part[:, :, -1, 0]
        self._state[:, row] = self._spec.bos_id, 0, length, limit
        self.totals[row] = 0.0
        return row

    def remove(self, row: int) -> int:
        """Free a row; the last row moves into the hole. Returns the row that moved."""
        last = self.count - 1
        if row != last:
            length = int(self.source_lengths[last])
            whole, end = self._cells[CROSS], self._cells[LAST]
            whole[:, row, :, :length] = whole[:, last, :, :length]
            end[:, row] = end[:, last]
            self.copy_target(last, row)
            self._state[:, row] = self._state[:, last]
            if self._candidates:
                self._candidates.move(last, row)
        self.count = last
        return last

    def copy_target(self, origin: int, goal: int) -> None:
        """Make `goal` continue what `origin` has written; both must have the same source."""
        written = int(self.position_ids[origin]) + 1
        past = self._cells[PAST]
        past[:, goal, :, :written] = past[:, origin, :, :written]
        self.tokens[goal, :written] = self.tokens[origin, :written]
        self._state[:2, goal] = self._state[:2, origin]
        self.totals[goal] = self.totals[origin]

    def advance(self) -> None:
        """Append every row's next token, which becomes its input of the following step."""
        used = self.count
        if used == 1:  # plain numbers cost a sixth of five calls into numpy
            self._advance_alone(self.position_ids.item(0), self.next_ids.item(0))
            return
        following, positions = self.next_ids[:used], self.position_ids[:used]
        places = self._rows[:used] * self.tokens.shape[1] + positions
        self._tokens_flat[places] = following  # with two indices numpy would let go, too
        self.totals[:used] += self.next_scores[:used]
        self.input_ids[:used] = following
        positions += 1

    def _advance_alone(self, position: int, following: int) -> None:
        self.tokens[0, position] = self.input_ids[0] = following
        self.totals[0] += self.next_scores.item(0)
        self.position_ids[0] = position + 1

    def ended(self) -> list[int]:
        """Rows that wrote the end token or reached their limit with the newest token."""
        used = self.count
        if used == 1:
            at_limit = self.position_ids.item(0) >= self.limits.item(0)
            return [0] if at_limit or self.input_ids.item(0) == self._spec.eos_id else []
        ends = self.input_ids[:used] == self._spec.eos_id
        ends |= self.position_ids[:used] >= self.limits[:used]
        rows: list[int] = ends.nonzero()[0].tolist()
        return rows

    def generated(self, row: int) -> Generated:
        """What a row has written so far."""
        ids = self.written(row)
        score = float(self.totals[row]) / len(ids)
        finished = ids[-1] == self._spec.eos_id
        return Generated(ids[:-1] if finished else ids, score, finished)

    def written(self, row: int) -> list[int]:
        """The ids that a row has so far."""
        ids: list[int] = self.tokens[row, : int(self.position_ids[row])].tolist()
        return ids

    def inputs(self) -> dict[str, Tensor]:
        """The decoder's inputs for the rows in use, as views."""
        state = (self.input_ids, self.position_ids, self.source_lengths)
        chosen = self._candidates.arrays if self._candidates else {}
        named = {**dict(zip(DECODER_INPUTS, state, strict=True)), **self._caches(), **chosen}
        return {name: array[: self.count] for name, array in named.items()}

    def outputs(self, *, logits: bool) -> dict[str, Tensor]:
        """The decoder's outputs for the rows in use, as views; caches share the inputs' memory."""
        named: dict[str, Tensor] = {"next_ids": self.next_ids, "next_scores": self.next_scores}
        if logits:
            if self.logits is None:
                scored = self._candidates.scored if self._candidates else self._spec.vocabulary
                self.logits = np.zeros((self.capacity, scored), np.float32)
            named["logits"] = self.logits
        caches = self._caches()
        for name, twin in IN_PLACE.items():
            for layer in range(self._spec.layers):
                named[f"{name}.{layer}"] = caches[f"{twin}.{layer}"]
        return {name: array[: self.count] for name, array in named.items()}

    def logits_of(self, rows: Sequence[int]) -> Tensor:
        """Logits [K, C] of these rows, after a step that was asked for logits."""
        assert self.logits is not None
        return self.logits[list(rows)]

    def token(self, row: int, place: int) -> int:
        """The token whose logit stands at this place."""
        return self._candidates.token(row, place) if self._candidates else place

    def _caches(self) -> dict[str, Tensor]:
        """The decoder's tensors by name, each a view [capacity, ...] of its part of the memory."""
        return {
            f"{name}.{place // 2}": array
            for names, memory in self._memory.items()
            for place, (name, array) in enumerate(
                zip(names * self._spec.layers, memory, strict=True)
            )
        }

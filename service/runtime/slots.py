"""The decoder's memory: one slot a row, rows 0 to count-1 in use, axis B outermost everywhere.

A row keeps its slot while it lives, so a step needs no copy; a hole is filled by the last row.
Memory comes in doubling buckets, and the system commits only the pages that rows have touched.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model_zoo.preprocessing import TranslationInput
from service.runtime.session import Tensor
from service.runtime.transformer import CROSS, DECODER_INPUTS, IN_PLACE, LAST, PAST

SMALLEST_BUCKET = 32
OVERSIZED = 4


class Generated(NamedTuple):
    """One row's answer: ids without the end token, mean log-probability per token with it."""

    ids: list[int]
    score: float
    finished: bool


class Slots:
    """State of up to `capacity` rows: caches, newest token, tokens so far, sum of scores."""

    def __init__(self, spec: TranslationInput, capacity: int, dtype: str = "float32") -> None:
        self._spec = spec
        self._dtype = np.dtype(dtype)
        self.capacity = capacity
        self.count = 0
        self.input_ids, self.position_ids, self.source_lengths, self.next_ids, self.limits = (
            np.zeros(capacity, np.int64) for _ in range(5)
        )
        self.next_scores = np.zeros(capacity, np.float32)
        self.totals = np.zeros(capacity, np.float64)
        self.tokens = np.zeros((capacity, 0), np.int64)
        self.logits: Tensor | None = None
        self._caches: dict[str, Tensor] = {}
        self._sizes: dict[tuple[str, ...], int] = {PAST: 0, CROSS: 0}
        last = (capacity, 1, spec.heads * spec.head_size)
        for name in self._layered(LAST):
            self._caches[name] = np.zeros(last, self._dtype)

    def reserve(self, *, source: int, target: int) -> bool:
        """Make room for so many tokens a row. True if memory moved: bindings to it are dead.

        With no row in use, memory far larger than needed is given back.
        """
        moved = [self._fit(CROSS, source), self._fit(PAST, target)]
        return any(moved)

    def _fit(self, names: tuple[str, ...], needed: int) -> bool:
        held = self._sizes[names]
        size = max(SMALLEST_BUCKET, 1 << (needed - 1).bit_length())
        oversized = self.count == 0 and held >= OVERSIZED * size
        if needed <= held and not oversized:
            return False
        self._sizes[names] = size
        for name in self._layered(names):
            shape = (self.capacity, self._spec.heads, size, self._spec.head_size)
            self._caches[name] = self._moved(self._caches.get(name), np.zeros(shape, self._dtype))
        if names is PAST:
            tokens = np.zeros((self.capacity, 1, size), np.int64)
            self.tokens = self._moved(self.tokens[:, None], tokens)[:, 0]
        return True

    def _moved(self, old: Tensor | None, new: Tensor) -> Tensor:
        if old is not None and self.count:
            new[: self.count, :, : old.shape[2]] = old[: self.count]
        return new

    def add(self, cross: Sequence[Tensor], span: slice, limit: int) -> int:
        """A new row that starts at the encoder's output `span`; returns the row.

        `cross` holds [2H, N, D] a layer: the keys of every head, then the values. `limit` is the
        number of tokens, end included, after which the row is cut off.
        """
        row = self.count
        self.count += 1
        heads = self._spec.heads
        length = span.stop - span.start
        for layer, packed in enumerate(cross):
            for half, (whole, last) in enumerate(zip(CROSS, LAST, strict=True)):
                part = packed[half * heads : (half + 1) * heads, span]
                self._caches[f"{whole}.{layer}"][row, :, :length] = part
                self._caches[f"{last}.{layer}"][row, 0] = part[:, -1].reshape(-1)
        self.input_ids[row] = self._spec.bos_id
        self.position_ids[row] = 0
        self.source_lengths[row] = length
        self.limits[row] = limit
        self.totals[row] = 0.0
        return row

    def remove(self, row: int) -> int:
        """Free a row; the last row moves into the hole. Returns the row that moved."""
        last = self.count - 1
        if row != last:
            self._copy_source(last, row)
            self.copy_target(last, row)
        self.count = last
        return last

    def _copy_source(self, origin: int, goal: int) -> None:
        length = int(self.source_lengths[origin])
        for name in self._layered(CROSS):
            self._caches[name][goal, :, :length] = self._caches[name][origin, :, :length]
        for name in self._layered(LAST):
            self._caches[name][goal] = self._caches[name][origin]
        for state in (self.source_lengths, self.limits):
            state[goal] = state[origin]

    def copy_target(self, origin: int, goal: int) -> None:
        """Make `goal` continue what `origin` has written; both must have the same source."""
        written = int(self.position_ids[origin]) + 1
        for name in self._layered(PAST):
            self._caches[name][goal, :, :written] = self._caches[name][origin, :, :written]
        self.tokens[goal, :written] = self.tokens[origin, :written]
        for state in (self.input_ids, self.position_ids, self.totals):
            state[goal] = state[origin]

    def advance(self) -> None:
        """Append every row's next token, which becomes its input of the following step."""
        used = slice(self.count)
        self.tokens[np.arange(self.count), self.position_ids[used]] = self.next_ids[used]
        self.totals[used] += self.next_scores[used]
        self.input_ids[used] = self.next_ids[used]
        self.position_ids[used] += 1

    def ended(self) -> list[int]:
        """Rows that wrote the end token or reached their limit with the newest token."""
        used = slice(self.count)
        ends = self.input_ids[used] == self._spec.eos_id
        ends |= self.position_ids[used] >= self.limits[used]
        rows: list[int] = np.flatnonzero(ends).tolist()
        return rows

    def generated(self, row: int) -> Generated:
        """What a row has written so far."""
        length = int(self.position_ids[row])
        ids: list[int] = self.tokens[row, :length].tolist()
        finished = ids[-1] == self._spec.eos_id
        return Generated(ids[:-1] if finished else ids, float(self.totals[row]) / length, finished)

    def written(self, row: int) -> list[int]:
        """The ids that a row has so far."""
        ids: list[int] = self.tokens[row, : int(self.position_ids[row])].tolist()
        return ids

    def inputs(self) -> dict[str, Tensor]:
        """The decoder's inputs for the rows in use, as views."""
        state = (self.input_ids, self.position_ids, self.source_lengths)
        named = {**dict(zip(DECODER_INPUTS, state, strict=True)), **self._caches}
        return {name: array[: self.count] for name, array in named.items()}

    def outputs(self, *, logits: bool) -> dict[str, Tensor]:
        """The decoder's outputs for the rows in use, as views; caches share the inputs' memory."""
        named: dict[str, Tensor] = {"next_ids": self.next_ids, "next_scores": self.next_scores}
        if logits:
            if self.logits is None:
                self.logits = np.zeros((self.capacity, self._spec.vocabulary), np.float32)
            named["logits"] = self.logits
        for name, twin in IN_PLACE.items():
            for layer in range(self._spec.layers):
                named[f"{name}.{layer}"] = self._caches[f"{twin}.{layer}"]
        return {name: array[: self.count] for name, array in named.items()}

    def _layered(self, names: Sequence[str]) -> list[str]:
        return [f"{name}.{layer}" for layer in range(self._spec.layers) for name in names]

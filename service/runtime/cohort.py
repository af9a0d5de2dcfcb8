"""Sentences that began together: they make every step together, and each leaves when it ends.

B rows, S source positions, V vocabulary.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from model_zoo.preprocessing import TranslationInput
from service.runtime.collate import group_lengths, pad_ids
from service.runtime.optimum import Caches, Memory, OptimumGraphs, keep_rows
from service.runtime.session import Abort, Tensor
from service.runtime.slot_decoder import Source, target_limit
from service.runtime.slots import Generated


class Cohort:
    """Rows at the same step. Who leaves is taken out of the memory before the next step."""

    def __init__(
        self,
        graphs: OptimumGraphs,
        spec: TranslationInput,
        sources: Mapping[int, Source],
        abort: Abort | None = None,
    ) -> None:
        """Encode the sources, which are given by ticket; raises what the encoder raises."""
        assert spec.optimum is not None
        self._graphs = graphs
        self._eos_id = spec.eos_id
        self._first_id = spec.optimum.first_id
        self._banned = list(spec.optimum.banned_ids)
        ids = [source.ids for source in sources.values()]
        self._memory = encode(graphs, ids, spec.pad_id, abort)
        self._caches: Caches = {}
        self._tickets: list[int] = list(sources)
        self._lengths: Tensor = np.array([len(row) for row in ids])
        self._limits = [target_limit(spec, len(row)) for row in ids]
        self._newest: Tensor = np.full(len(ids), spec.bos_id, np.int64)
        self._written: list[list[int]] = [[] for _ in ids]
        self._totals: Tensor = np.zeros(len(ids))
        self._gone: set[int] = set()
        self.age = 0  # steps made

    @property
    def active(self) -> int:
        """Rows that are still wanted."""
        return len(self._tickets) - len(self._gone)

    def drop(self, ticket: int) -> None:
        """This row is not wanted any more."""
        self._gone.add(self._tickets.index(ticket))

    def written(self, ticket: int) -> list[int]:
        """The ids that a row has so far."""
        return list(self._written[self._tickets.index(ticket)])

    def step(self, abort: Abort | None = None) -> list[tuple[int, Generated]]:
        """One more token for every row; those that end with it leave, and are returned."""
        self._close_ranks()
        ids_B, scores_B = self._choose(abort)
        self.age += 1
        self._newest = ids_B
        self._totals += scores_B
        for written, token in zip(self._written, ids_B.tolist(), strict=True):
            written.append(token)
        ended = [row for row in range(len(self._tickets)) if self._has_ended(row)]
        self._gone.update(ended)
        return [(self._tickets[row], self._generated(row)) for row in ended]

    def _choose(self, abort: Abort | None) -> tuple[Tensor, Tensor]:
        is_first = self.age == 0
        if is_first:
            logits_BV, self._caches = self._graphs.begin(self._newest, self._memory, abort)
        else:
            logits_BV, self._caches = self._graphs.go_on(
                self._newest, self._memory, self._caches, abort
            )
        if is_first and self._first_id is not None:
            return np.full(len(self._newest), self._first_id, np.int64), np.zeros(len(self._newest))
        return best_tokens(logits_BV, self._banned)

    def _has_ended(self, row: int) -> bool:
        written = self._written[row]
        return written[-1] == self._eos_id or len(written) >= self._limits[row]

    def _generated(self, row: int) -> Generated:
        ids = self._written[row]
        finished = ids[-1] == self._eos_id
        score = float(self._totals[row]) / len(ids)
        return Generated(ids[:-1] if finished else list(ids), score, finished)

    def _close_ranks(self) -> None:
        """Forget who is gone, and the padding that nobody needs without them."""
        if not self._gone:
            return
        rows = [row for row in range(len(self._tickets)) if row not in self._gone]
        self._gone.clear()
        self._lengths = self._lengths[rows]
        self._newest = self._newest[rows]
        self._totals = self._totals[rows]
        longest = int(self._lengths.max())
        self._memory = self._memory.kept(rows, longest)
        self._caches = keep_rows(self._caches, rows, longest)
        self._tickets = [self._tickets[row] for row in rows]
        self._limits = [self._limits[row] for row in rows]
        self._written = [self._written[row] for row in rows]


def encode(
    graphs: OptimumGraphs, ids: Sequence[Tensor], pad_id: int, abort: Abort | None = None
) -> Memory:
    """The encoder's states of all rows, which it computes with others of about their length."""
    lengths = [len(row) for row in ids]
    _, mask_BS = pad_ids(ids, pad_id)
    states_BSE: Tensor | None = None
    for group in group_lengths(lengths):
        found = graphs.encode(*pad_ids([ids[row] for row in group], pad_id), abort)
        if states_BSE is None:
            states_BSE = np.zeros((*mask_BS.shape, found.shape[2]), found.dtype)
        states_BSE[group, : found.shape[1]] = found
    assert states_BSE is not None
    return Memory(states_BSE, mask_BS)


def best_tokens(logits_BV: Tensor, banned: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
    """The most probable token of every row that is not banned, and its log-probability.

    Overwrites the logits of banned tokens. What is no number gives a score that is none.
    """
    logits_BV[:, list(banned)] = -np.inf
    best_B = logits_BV.argmax(axis=1)
    # row by row, since a row stays in the cache and all of them do not
    scores = [-np.log(np.exp(row - row[b]).sum()) for row, b in zip(logits_BV, best_B, strict=True)]
    return best_B, np.array(scores, np.float64)

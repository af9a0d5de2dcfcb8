"""Beam search for one sentence, over rows of the decoder's slots.

The search only overrules the step's choice of next tokens and copies rows where a hypothesis goes
on from another row; appending and scoring stay the slots' work. K hypotheses, C scored tokens.
Hypotheses are ranked by mean log-probability per token, the end token included.
"""

from dataclasses import dataclass, replace

import numpy as np

from service.runtime.session import Tensor
from service.runtime.slots import Generated, Slots


@dataclass(frozen=True, slots=True)
class Continuation:
    """A hypothesis with one more token; `parent` is its place among the K before, `token` that of
    its logit or the id itself."""

    parent: int
    token: int
    total: float


class Beam:
    """The hypotheses of one sentence. `rows` are their slots, best first; the owner keeps them."""

    def __init__(self, slots: Slots, rows: list[int], eos_id: int) -> None:
        self._slots = slots
        self._rows = rows
        self._eos_id = eos_id
        self._complete: list[Generated] = []
        slots.totals[rows[1:]] = -np.inf  # all start alike: only one of them may branch

    def choose(self) -> None:
        """After a step, before the slots advance: set the next token of every row of the beam."""
        width = len(self._rows)
        going_on: list[Continuation] = []
        for rank, found in enumerate(self._continuations(2 * width)):
            if found.token != self._eos_id:
                going_on.append(found)
            elif rank < width:
                self._complete.append(self._completed(found))
        self._continue(going_on[:width])

    def result(self) -> Generated | None:
        """After the slots advanced: the best hypothesis, or None while the search goes on."""
        best = self._rows[0]
        at_limit = self._slots.position_ids[best] >= self._slots.limits[best]
        if len(self._complete) >= len(self._rows) or (at_limit and self._complete):
            return max(self._complete, key=lambda hypothesis: hypothesis.score)
        return self._slots.generated(best) if at_limit else None

    def _continuations(self, count: int) -> list[Continuation]:
        slots, rows = self._slots, self._rows
        logits_KC = slots.logits_of(rows)
        # the step gives the winner's log-probability, and with it every other token's
        bases_K = slots.totals[rows] - (logits_KC.max(axis=1) - slots.next_scores[rows])
        return [
            replace(found, token=slots.token(rows[found.parent], found.token))
            for found in best_continuations(logits_KC, bases_K, count)
        ]

    def _completed(self, found: Continuation) -> Generated:
        row = self._rows[found.parent]
        length = int(self._slots.position_ids[row])
        ids: list[int] = self._slots.tokens[row, :length].tolist()
        return Generated(ids, found.total / (length + 1), finished=True)

    def _continue(self, hypotheses: list[Continuation]) -> None:
        slots, rows = self._slots, list(self._rows)
        totals = slots.totals[rows]
        places = place_children([hypothesis.parent for hypothesis in hypotheses])
        for place, hypothesis in zip(places, hypotheses, strict=True):
            if place != hypothesis.parent:
                slots.copy_target(rows[hypothesis.parent], rows[place])
        for rank, (place, hypothesis) in enumerate(zip(places, hypotheses, strict=True)):
            row = self._rows[rank] = rows[place]
            slots.next_ids[row] = hypothesis.token
            slots.next_scores[row] = hypothesis.total - totals[hypothesis.parent]


def best_continuations(logits_KC: Tensor, bases_K: Tensor, count: int) -> list[Continuation]:
    """The `count` best pairs of hypothesis and token by base + logit, best first, ties by order."""
    tokens = np.argpartition(logits_KC, -count, axis=1)[:, -count:]
    totals = bases_K[:, None] + np.take_along_axis(logits_KC, tokens, axis=1)
    parents = np.broadcast_to(np.arange(len(bases_K))[:, None], tokens.shape)
    best = np.lexsort((tokens.ravel(), parents.ravel(), -totals.ravel()))[:count]
    return [
        Continuation(int(parents.flat[i]), int(tokens.flat[i]), float(totals.flat[i])) for i in best
    ]


def place_children(parents: list[int]) -> list[int]:
    """A place for every child: its parent's own for the first, a childless parent's for others.

    So no place that is copied from is ever written to.
    """
    free = [place for place in range(len(parents)) if place not in parents]
    return [
        free.pop(0) if parent in parents[:child] else parent for child, parent in enumerate(parents)
    ]

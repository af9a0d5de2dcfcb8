"""A sentence's shortlist: the few target tokens among which its decoder chooses.

A graph of its own weighs all of them by the source tokens alone; the best are the candidates. A
step then multiplies with some hundred columns of a row's own instead of the whole vocabulary, and
a row's answer depends on no other row. K candidates, N source tokens, B sentences or rows, V
vocabulary, D width.
"""

from collections.abc import Sequence

import numpy as np

from model_zoo.preprocessing import TranslationInput
from service.runtime.errors import GraphMismatch
from service.runtime.session import Abort, Session, Tensor
from service.runtime.signature import Signature, TensorType

IDS, WEIGHTS = "candidate_ids", "candidate_weights"
SUMS = "candidate_sums"
# From so many rows on a step multiplies with the whole vocabulary, of which each row takes its own:
# the same numbers as from its own candidates' weights, sooner or later by processor.
WHOLE_FROM = TensorType("whole_from", "int64", (1,))
SOURCE = ("source_ids", "segment_ids")


def candidate_types(spec: TranslationInput, count: int) -> tuple[TensorType, ...]:
    """The tensors that hold the candidates of sentences, and then of the rows of a step."""
    return (
        TensorType(IDS, "int64", ("B", count)),
        TensorType(WEIGHTS, "int8", ("B", spec.heads * spec.head_size, count)),
        TensorType("candidate_scales", "float32", ("B", 1, count)),
        TensorType("candidate_biases", "float32", ("B", 1, count)),
    )


def candidate_count(inputs: Sequence[TensorType]) -> int:
    """How many candidates a decoder takes for every row; 0 where it scores the vocabulary."""
    sizes = [tensor.shape[-1] for tensor in inputs if tensor.name == IDS]
    return sizes[0] if sizes and isinstance(sizes[0], int) else 0


def shortlist_signature(spec: TranslationInput) -> Signature:
    """Packed sentences in; sums for all target tokens, and the output layer's bytes, out."""
    size, width = spec.vocabulary, spec.heads * spec.head_size
    return Signature(
        "shortlist",
        tuple(TensorType(name, "int64", ("N",)) for name in SOURCE),
        (
            TensorType(SUMS, "float32", ("B", size)),
            TensorType("output_weights", "int8", (size, width)),
            TensorType("output_scales", "float32", (size,)),
            TensorType("output_biases", "float32", (size,)),
        ),
    )


class Shortlist:
    """Finds the candidates of sentences; thread-safe as its session is."""

    def __init__(self, session: Session, spec: TranslationInput, count: int) -> None:
        """`count` candidates for each sentence, as the decoder takes them."""
        if not count:
            raise GraphMismatch("there is a shortlist, but the decoder takes no candidates")
        signature = shortlist_signature(spec)
        session.expect(signature)
        self._session = session
        self.count = count
        nobody = dict.fromkeys(SOURCE, np.zeros(1, np.int64))
        names = [kind.name for kind in signature.outputs]
        _, weights_VD, self.scales_V, self.biases_V = session.run(nobody, names).values()
        self.weights_DV = np.ascontiguousarray(weights_VD.T)

    def of(self, ids_N: Tensor, segments_N: Tensor, abort: Abort | None = None) -> Tensor:
        """Those of each segment, [B, K], in rising order: the same whoever is asked for with it."""
        sources = dict(zip(SOURCE, (ids_N, segments_N), strict=True))
        sums_BV = self._session.run(sources, [SUMS], abort)[SUMS]
        least_B1 = np.partition(sums_BV, -self.count, axis=1)[:, -self.count, None]
        _, found = np.nonzero(sums_BV >= least_B1)
        if len(found) != len(sums_BV) * self.count:
            found = np.stack([self._first(*row) for row in zip(sums_BV, least_B1, strict=True)])
        return found.reshape(-1, self.count)

    def _first(self, sums_V: Tensor, least_1: Tensor) -> Tensor:
        """Of equal ones the earlier tokens, whichever a processor would come upon."""
        more, equal = np.flatnonzero(sums_V > least_1), np.flatnonzero(sums_V == least_1)
        return np.sort(np.concatenate([more, equal[: self.count - len(more)]]))


class Candidates:
    """The candidates of every row of a decoder, axis B outermost, as its steps take them.

    Their columns of the weights are brought when a step is going to multiply with them: where
    many rows decode, the whole vocabulary's are read instead, and most rows never need their own.
    """

    def __init__(self, shortlist: Shortlist, capacity: int) -> None:
        self._shortlist = shortlist
        self.count = shortlist.count
        width, self._vocabulary = shortlist.weights_DV.shape
        self._ids_BK = np.zeros((capacity, self.count), np.int64)
        self._weights_BDK = np.zeros((capacity, width, self.count), np.int8)
        self._scales_B1K = np.zeros((capacity, 1, self.count), np.float32)
        self._biases_B1K = np.zeros_like(self._scales_B1K)
        self._without_weights: set[int] = set()
        self.arrays: dict[str, Tensor] = {
            IDS: self._ids_BK,
            WEIGHTS: self._weights_BDK,
            "candidate_scales": self._scales_B1K,
            "candidate_biases": self._biases_B1K,
        }

    def put(self, row: int, ids_K: Tensor) -> None:
        """Give a row its candidates."""
        self._ids_BK[row] = ids_K
        self._scales_B1K[row, 0] = self._shortlist.scales_V[ids_K]
        self._biases_B1K[row, 0] = self._shortlist.biases_V[ids_K]
        self._without_weights.add(row)

    def move(self, origin: int, goal: int) -> None:
        """Give a row the candidates of another."""
        for array in (self._ids_BK, self._scales_B1K, self._biases_B1K):
            array[goal] = array[origin]
        if origin in self._without_weights:
            self._without_weights.add(goal)
        else:
            self._without_weights.discard(goal)
            self._weights_BDK[goal] = self._weights_BDK[origin]

    def bring_weights(self, rows: int) -> None:
        """Have the columns of the first `rows` rows in place."""
        for row in self._without_weights:
            if row < rows:
                columns, out_DK = self._ids_BK[row], self._weights_BDK[row]
                np.take(self._shortlist.weights_DV, columns, axis=1, out=out_DK, mode="clip")
        self._without_weights.clear()  # the others are nobody's

    def spread(self, rows: Sequence[int], logits_KC: Tensor) -> Tensor:
        """Their logits over the vocabulary, [K, V]; -inf for others."""
        whole_KV = np.full((len(rows), self._vocabulary), -np.inf, np.float32)
        np.put_along_axis(whole_KV, self._ids_BK[list(rows)], logits_KC, axis=1)
        return whole_KV

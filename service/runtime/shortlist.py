"""A sentence's shortlist: the few target tokens among which its decoder chooses.

A graph of its own picks them by the source tokens alone and brings their part of the output layer,
so that a step multiplies with some hundred columns of its own instead of the whole vocabulary: a
row's answer depends on no other row. K candidates, S source tokens, B rows, V vocabulary.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from model_zoo.preprocessing import TranslationInput
from service.runtime.session import Abort, Session, Tensor
from service.runtime.signature import Signature, TensorType

IDS = "candidate_ids"
# From so many rows on a step multiplies with the whole vocabulary, of which each row takes its own:
# the same numbers as from its own candidates' weights, sooner or later by processor.
WHOLE_FROM = TensorType("whole_from", "int64", (1,))
SOURCE = "source_ids"


def candidate_types(spec: TranslationInput, count: int, *rows: str) -> tuple[TensorType, ...]:
    """The tensors of one sentence, or with an axis of rows of a step, that hold candidates."""
    return (
        TensorType(IDS, "int64", (*rows, count)),
        TensorType("candidate_weights", "int8", (*rows, spec.heads * spec.head_size, count)),
        TensorType("candidate_scales", "float32", (*rows, 1, count)),
        TensorType("candidate_biases", "float32", (*rows, 1, count)),
    )


def candidate_count(inputs: Sequence[TensorType]) -> int:
    """How many candidates a decoder takes for every row; 0 where it scores the vocabulary."""
    sizes = [tensor.shape[-1] for tensor in inputs if tensor.name == IDS]
    return sizes[0] if sizes and isinstance(sizes[0], int) else 0


def shortlist_signature(spec: TranslationInput, count: int) -> Signature:
    """Source ids in; the candidates and their part of the output layer out."""
    source = TensorType(SOURCE, "int64", ("S",))
    return Signature("shortlist", (source,), candidate_types(spec, count))


class Shortlist:
    """Finds the candidates of a sentence, by tensor name; thread-safe as its session is."""

    def __init__(self, session: Session, spec: TranslationInput, count: int) -> None:
        session.expect(shortlist_signature(spec, count))
        self._session = session
        self.types = candidate_types(spec, count)

    def of(self, ids: Tensor, abort: Abort | None = None) -> Mapping[str, Tensor]:
        """The same ids have the same candidates, whoever shares the decoder with them."""
        return self._session.run({SOURCE: ids}, [kind.name for kind in self.types], abort)


class Candidates:
    """The candidates of every row of a decoder, axis B outermost, as its steps take them."""

    def __init__(self, types: Sequence[TensorType], capacity: int, vocabulary: int) -> None:
        self.arrays: dict[str, Tensor] = {
            kind.name: np.zeros([capacity, *map(int, kind.shape)], kind.dtype) for kind in types
        }
        self.count = self.arrays[IDS].shape[1]
        self._vocabulary = vocabulary

    def put(self, row: int, found: Mapping[str, Tensor]) -> None:
        """Give a row its candidates."""
        for name, array in self.arrays.items():
            array[row] = found[name]

    def move(self, origin: int, goal: int) -> None:
        """Give a row the candidates of another."""
        for array in self.arrays.values():
            array[goal] = array[origin]

    def spread(self, rows: Sequence[int], logits_KC: Tensor) -> Tensor:
        """Their logits over the vocabulary, [K, V]; -inf for others."""
        whole_KV = np.full((len(rows), self._vocabulary), -np.inf, np.float32)
        np.put_along_axis(whole_KV, self.arrays[IDS][list(rows)], logits_KC, axis=1)
        return whole_KV

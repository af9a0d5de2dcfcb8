"""A sentence's shortlist: the target tokens among which its decoder chooses.

Some are common to all sentences: the decoder holds their columns of the output layer. The others
are a sentence's own, the likeliest by its source tokens, and a row of a step brings their columns
along. So a step multiplies with a part of the vocabulary, and a row's answer depends on no other
row. K own tokens, C scored ones in all, N source tokens, B sentences or rows, L likely targets of
a source token, V vocabulary, D width.
"""

from collections.abc import Sequence

import numpy as np

from model_zoo.preprocessing import TranslationInput
from service.runtime.errors import GraphMismatch
from service.runtime.session import Session, Tensor
from service.runtime.signature import Signature, TensorType

IDS, WEIGHTS = "candidate_ids", "candidate_weights"
# A key holds segment, weight and token in this order, so that sorting keys sorts by all three.
TOKEN_BITS, WEIGHT_BITS = 20, 24
TOKEN, MOST_WEIGHT = (1 << TOKEN_BITS) - 1, (1 << WEIGHT_BITS) - 1
CHANCE_BITS = 16
MOST_CHANCE = (1 << CHANCE_BITS) - 1


def candidate_types(spec: TranslationInput, scored: int, own: int) -> tuple[TensorType, ...]:
    """The tensors that hold the tokens that each row of a step scores, and its own columns."""
    return (
        TensorType(IDS, "int64", ("B", scored)),
        TensorType(WEIGHTS, "int8", ("B", spec.heads * spec.head_size, own)),
        TensorType("candidate_scales", "float32", ("B", 1, own)),
        TensorType("candidate_biases", "float32", ("B", 1, own)),
    )


def scored_and_own(inputs: Sequence[TensorType]) -> tuple[int, int]:
    """How many tokens a decoder scores for every row, and how many of them are its own; 0 where it
    scores the vocabulary."""
    return _last_axis(inputs, IDS), _last_axis(inputs, WEIGHTS)


def _last_axis(tensors: Sequence[TensorType], name: str) -> int:
    """The size of a tensor's last axis; 0 where nobody tells it."""
    sizes = [tensor.shape[-1] for tensor in tensors if tensor.name == name]
    return sizes[0] if sizes and isinstance(sizes[0], int) else 0


def shortlist_signature(
    spec: TranslationInput, scored: int, own: int, outputs: Sequence[TensorType]
) -> Signature:
    """Nothing in; out come tables: of the lexicon, and of the output layer. `outputs` tell how many
    targets each source token has."""
    size, width = spec.vocabulary, spec.heads * spec.head_size
    likely = _last_axis(outputs, "likely_ids")
    return Signature(
        "shortlist",
        (),
        (
            TensorType("common_ids", "int64", (scored - own,)),
            TensorType("likely_ids", "int32", (size, likely)),
            TensorType("likely_chances", "int32", (size, likely)),
            TensorType("fill_ids", "int64", (own,)),
            TensorType("output_weights", "int8", (size, width)),
            TensorType("output_scales", "float32", (size,)),
            TensorType("output_biases", "float32", (size,)),
        ),
    )


class Shortlist:
    """Finds the own tokens of sentences; thread-safe, as nothing in it changes."""

    def __init__(self, session: Session, spec: TranslationInput, scored: int, own: int) -> None:
        """For a decoder that scores so many tokens a row, and takes `own` of them from it."""
        if not own:
            raise GraphMismatch("there is a shortlist, but the decoder takes no candidates")
        signature = shortlist_signature(spec, scored, own, session.outputs)
        session.expect(signature)
        tables = session.run({}, [kind.name for kind in signature.outputs])
        self.own = own
        self._places_K = np.arange(own)
        self.common_ids, *lexicon, self.weights_VD, self.scales_V, self.biases_V = tables.values()
        likely_VL, chances_VL, fill_K = (table.astype(np.int64) for table in lexicon)
        self._links_VL = (likely_VL << CHANCE_BITS) | chances_VL
        self._fill_K = fill_K << CHANCE_BITS

    def of(self, ids_N: Tensor, segments_N: Tensor) -> Tensor:
        """Those of each segment, [B, K], the likeliest first; who else is asked for makes no odds.

        A token weighs as much as its chances add up to, in whole numbers, whose sum depends on no
        order; of equal ones the earlier comes first.
        """
        segments_B1 = np.arange(int(segments_N[-1]) + 1)[:, None]
        starts_N1 = segments_N[:, None] << (TOKEN_BITS + CHANCE_BITS)
        fill_BK = segments_B1 << (TOKEN_BITS + CHANCE_BITS) | self._fill_K
        links = np.concatenate([(self._links_VL[ids_N] | starts_N1).ravel(), fill_BK.ravel()])
        links.sort()
        places = links >> CHANCE_BITS
        is_first = np.empty(len(places), np.bool_)
        is_first[0] = True
        np.not_equal(places[1:], places[:-1], out=is_first[1:])
        firsts = is_first.nonzero()[0]
        weights = np.add.reduceat(links & MOST_CHANCE, firsts)
        lightness = np.maximum(MOST_WEIGHT - weights, 0)
        tokens = places[firsts]
        keys = ((tokens >> TOKEN_BITS << WEIGHT_BITS | lightness) << TOKEN_BITS) | (tokens & TOKEN)
        keys.sort()
        starts_B1 = keys.searchsorted(segments_B1 << (TOKEN_BITS + WEIGHT_BITS))
        own_BK: Tensor = keys[starts_B1 + self._places_K] & TOKEN
        return own_BK


class Candidates:
    """The tokens that every row of a decoder scores, the common ones and then its own; axis B
    outermost, as its steps take them."""

    def __init__(self, shortlist: Shortlist, capacity: int) -> None:
        self._shortlist = shortlist
        own, width = shortlist.own, shortlist.weights_VD.shape[1]
        common = len(shortlist.common_ids)
        self.scored = common + own
        self._ids_BC = np.zeros((capacity, self.scored), np.int64)
        self._ids_BC[:, :common] = shortlist.common_ids
        self._own_BK = self._ids_BC[:, common:]
        self._weights_BDK = np.zeros((capacity, width, own), np.int8)
        self._scales_BK, self._biases_BK = np.zeros((2, capacity, own), np.float32)
        self.arrays: dict[str, Tensor] = {
            IDS: self._ids_BC,
            WEIGHTS: self._weights_BDK,
            "candidate_scales": self._scales_BK[:, None],
            "candidate_biases": self._biases_BK[:, None],
        }

    def put(self, row: int, ids_K: Tensor) -> None:
        """Give a row its own tokens."""
        self._own_BK[row] = ids_K
        self._weights_BDK[row] = self._shortlist.weights_VD[ids_K].T
        self._scales_BK[row] = self._shortlist.scales_V[ids_K]
        self._biases_BK[row] = self._shortlist.biases_V[ids_K]

    def move(self, origin: int, goal: int) -> None:
        """Give a row the own tokens of another."""
        for array in (self._own_BK, self._weights_BDK, self._scales_BK, self._biases_BK):
            array[goal] = array[origin]

    def token(self, row: int, place: int) -> int:
        """The token whose logit stands at this place of a row."""
        return int(self._ids_BC[row, place])

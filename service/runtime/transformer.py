"""The tensors of a translation model's two graphs, by name: what export builds and service feeds.

The encoder takes all tokens of several sentences in one axis. The decoder runs one step for rows
of different age; its caches are written in place, so each present/out tensor shares the memory of
its past/in twin. L decoder layers, H heads, D head size, N tokens, B rows, S source and T target
positions, V vocabulary.
"""

from collections.abc import Sequence

from model_zoo.preprocessing import TranslationInput
from service.runtime.shortlist import candidate_types
from service.runtime.signature import Signature, TensorType

ENCODER_INPUTS = ("input_ids", "position_ids", "segment_ids")
DECODER_INPUTS = ("input_ids", "position_ids", "source_lengths")
CROSS = ("cross_key", "cross_value")
LAST = ("cross_key_last", "cross_value_last")
PAST = ("past_key", "past_value")
# decoder output: the input whose memory it shares
IN_PLACE = {
    "present_key": "past_key",
    "present_value": "past_value",
    "cross_key_out": "cross_key",
    "cross_value_out": "cross_value",
}


def encoder_signature(spec: TranslationInput, dtype: str = "float32") -> Signature:
    """Packed sentences in; per decoder layer the keys, then the values, of every head out."""
    cross = (2 * spec.heads, "N", spec.head_size)
    return Signature(
        "encoder",
        tuple(TensorType(name, "int64", ("N",)) for name in ENCODER_INPUTS),
        tuple(TensorType(name, dtype, cross) for name in cross_outputs(spec)),
    )


def cross_outputs(spec: TranslationInput) -> tuple[str, ...]:
    """The encoder's outputs in the order of the decoder's layers."""
    return tuple(f"cross_key_value.{layer}" for layer in range(spec.layers))


def decoder_signature(
    spec: TranslationInput,
    dtype: str = "float32",
    scored: int = 0,
    own: int = 0,
) -> Signature:
    """One step: the newest token of every row and the caches in; the next token out.

    scored: how many tokens each row chooses among, and own: how many of them it brings along; 0:
    all of the vocabulary, and none.
    """
    shapes: dict[str, tuple[int | str, ...]] = {
        **dict.fromkeys(PAST, ("B", spec.heads, "T", spec.head_size)),
        **dict.fromkeys(CROSS, ("B", spec.heads, "S", spec.head_size)),
        **dict.fromkeys(LAST, ("B", 1, spec.heads * spec.head_size)),
    }
    layers = range(spec.layers)
    return Signature(
        "decoder",
        (
            *(TensorType(name, "int64", ("B",)) for name in DECODER_INPUTS),
            *(candidate_types(spec, scored, own) if own else ()),
            *(TensorType(f"{n}.{i}", dtype, shape) for i in layers for n, shape in shapes.items()),
        ),
        (
            TensorType("next_ids", "int64", ("B",)),
            TensorType("next_scores", "float32", ("B",)),
            TensorType("logits", "float32", ("B", scored or spec.vocabulary)),
            *(
                TensorType(f"{name}.{i}", dtype, shapes[twin])
                for i in layers
                for name, twin in IN_PLACE.items()
            ),
        ),
    )


def cache_dtype(inputs: Sequence[TensorType]) -> str:
    """Element type of the decoder's caches: float16 if the graph was made so, else float32."""
    types = {tensor.name: tensor.dtype for tensor in inputs}
    return "float16" if types.get("past_key.0") == "float16" else "float32"

"""A translation model of random weights as the two graphs that the service runs.

The end token's bias makes targets end at mixed lengths, some of them only at their limit. Layers
are pre-norm, normalisation has no weights of its own. N tokens, B rows, E width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_zoo.preprocessing import TranslationInput
from service.runtime.signature import TensorType
from service.runtime.transformer import decoder_signature, encoder_signature
from tests.runtime.graphs import MICROSOFT, Array, GraphBuilder

WIDTH, HEADS, HEAD, HIDDEN = 32, 2, 16, 48
VOCABULARY, BLOCK = 256, 128
LAYERS = 2
PAD, BOS, EOS = 0, 1, 2
MASKED = -60.0  # a larger mask makes softmax yield denormals, which are slow

SPEC = TranslationInput(
    source="en",
    target="de",
    max_source_tokens=100,
    max_target_tokens=80,
    pad_id=PAD,
    bos_id=BOS,
    eos_id=EOS,
    layers=LAYERS,
    heads=HEADS,
    head_size=HEAD,
    vocabulary=VOCABULARY,
)


@dataclass(frozen=True)
class Sentence:
    """What the translation task hands to the runner."""

    ids: Array
    beam: int = 1


def sentences(lengths: Sequence[int], *, seed: int = 5, beam: int = 1) -> list[Sentence]:
    """Random source sentences of these lengths, end token included."""
    random = np.random.default_rng(seed)
    bodies = [random.integers(3, VOCABULARY, length - 1) for length in lengths]
    return [Sentence(np.append(body, EOS).astype(np.int64), beam) for body in bodies]


class Weights:
    """Random tables and matrices by name; the same for the same seed."""

    def __init__(self, seed: int = 2, eos_bias: float = 1.5) -> None:
        self._random = np.random.default_rng(seed)
        self.tables = {
            "tokens": self._normal(VOCABULARY, WIDTH),
            "source positions": self._normal(SPEC.max_source_tokens, WIDTH),
            "target positions": self._normal(SPEC.max_target_tokens, WIDTH) * np.float32(3.0),
        }
        self.matrices: dict[str, tuple[Array, Array]] = {}
        for layer in range(LAYERS):
            for stack in ("encoder", "decoder"):
                self._linear(f"{stack} {layer} qkv", WIDTH, 3 * WIDTH)
                self._linear(f"{stack} {layer} out", WIDTH, WIDTH)
                self._linear(f"{stack} {layer} up", WIDTH, HIDDEN)
                self._linear(f"{stack} {layer} down", HIDDEN, WIDTH)
            self._linear(f"cross {layer} q", WIDTH, WIDTH, gain=2.0)
            self._linear(f"cross {layer} kv", WIDTH, 2 * WIDTH, gain=2.0)
            self._linear(f"cross {layer} out", WIDTH, WIDTH, gain=2.0)
        self._linear("head", WIDTH, VOCABULARY)
        bias = self.matrices["head"][1]
        bias[EOS] += eos_bias
        bias[[PAD, BOS]] = -60.0

    def _linear(self, name: str, rows: int, columns: int, gain: float = 1.0) -> None:
        weight = self._normal(rows, columns) * np.float32(gain / np.sqrt(rows))
        self.matrices[name] = weight, self._normal(columns) * np.float32(0.1)

    def _normal(self, *shape: int) -> Array:
        return self._random.normal(size=shape).astype(np.float32)


class Layers(GraphBuilder):
    """The parts that both graphs have."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self._weights = weights
        self._scale = self.constant(np.ones(WIDTH))

    def declare(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> None:
        for tensor in inputs:
            self.input(tensor.name, tensor.dtype, tensor.shape)
        for tensor in outputs:
            self.output(tensor.name, tensor.dtype, tensor.shape)

    def embed(self, positions: str) -> str:
        tokens = self.op("Gather", self.constant(self._weights.tables["tokens"]), "input_ids")
        table = self.constant(self._weights.tables[positions])
        return self.op("Add", tokens, self.op("Gather", table, "position_ids"))

    def linear(self, name: str, x: str) -> str:
        weight, bias = self._weights.matrices[name]
        return self.op("Add", self.op("MatMul", x, self.constant(weight)), self.constant(bias))

    def normal(self, x: str) -> str:
        return self.op("LayerNormalization", x, self._scale, axis=-1, epsilon=1e-5)

    def feed_forward(self, layer: str, x: str) -> str:
        up = self.op("Relu", self.linear(f"{layer} up", self.normal(x)))
        return self.op("Add", x, self.linear(f"{layer} down", up))


def encoder_graph(weights: Weights) -> bytes:
    """All sentences in one axis; attention stays inside a segment."""
    g = Layers(weights)
    signature = encoder_signature(SPEC)
    g.declare(signature.inputs, signature.outputs)
    across = g.op("Unsqueeze", "segment_ids", g.ints(0))
    same = g.op("Equal", across, g.op("Unsqueeze", "segment_ids", g.ints(1)))
    mask_NN = g.op("Where", same, g.constant(0.0), g.constant(MASKED))
    x_NE = g.embed("source positions")
    for layer in range(LAYERS):
        qkv = g.linear(f"encoder {layer} qkv", g.normal(x_NE))
        heads = g.op("Reshape", qkv, g.ints(-1, 3 * HEADS, HEAD))
        q, k, v = g.ops("Split", [g.op("Transpose", heads, perm=[1, 0, 2])], 3, num_outputs=3)
        scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 2, 1]))
        scaled = g.op("Mul", scores, g.constant(1 / np.sqrt(HEAD)))
        mixed = g.op("MatMul", g.op("Softmax", g.op("Add", scaled, mask_NN), axis=-1), v)
        joined = g.op("Reshape", g.op("Transpose", mixed, perm=[1, 0, 2]), g.ints(-1, WIDTH))
        x_NE = g.op("Add", x_NE, g.linear(f"encoder {layer} out", joined))
        x_NE = g.feed_forward(f"encoder {layer}", x_NE)
    memory = g.normal(x_NE)
    for layer in range(LAYERS):
        heads = g.op("Reshape", g.linear(f"cross {layer} kv", memory), g.ints(-1, 2 * HEADS, HEAD))
        g.op_to(f"cross_key_value.{layer}", "Transpose", heads, perm=[1, 0, 2])
    return g.serialize()


def decoder_graph(weights: Weights) -> bytes:
    """One step for every row; both attentions write their caches in place."""
    g = Layers(weights)
    signature = decoder_signature(SPEC)
    g.declare(signature.inputs, signature.outputs)
    own_past = g.op("Cast", "position_ids", to=6)
    last_source = g.op("Cast", g.op("Sub", "source_lengths", g.scalar(1)), to=6)
    room, source_room = (
        g.op("Cast", g.op("Squeeze", g.op("Shape", cache, start=2, end=3)), to=6)
        for cache in ("past_key.0", "cross_key.0")
    )

    def attend(inputs: Sequence[str], written: Sequence[str]) -> str:
        mixed = g.op("Identity", inputs[0])  # a name for the result
        g.node(
            "GroupQueryAttention",
            inputs,
            [f"{mixed}_attended", *written],
            domain=MICROSOFT,
            num_heads=HEADS,
            kv_num_heads=HEADS,
        )
        return g.op("Reshape", f"{mixed}_attended", g.ints(-1, WIDTH))

    x_BE = g.embed("target positions")
    for i in range(LAYERS):
        qkv = g.op("Unsqueeze", g.linear(f"decoder {i} qkv", g.normal(x_BE)), g.ints(1))
        new = g.ops("Split", [qkv], 3, axis=-1, num_outputs=3)
        past = (f"past_key.{i}", f"past_value.{i}", own_past, room)
        mixed = attend([*new, *past], [f"present_key.{i}", f"present_value.{i}"])
        x_BE = g.op("Add", x_BE, g.linear(f"decoder {i} out", mixed))
        q = g.op("Unsqueeze", g.linear(f"cross {i} q", g.normal(x_BE)), g.ints(1))
        last = (f"cross_key_last.{i}", f"cross_value_last.{i}")
        source = (f"cross_key.{i}", f"cross_value.{i}", last_source, source_room)
        mixed = attend([q, *last, *source], [f"cross_key_out.{i}", f"cross_value_out.{i}"])
        x_BE = g.op("Add", x_BE, g.linear(f"cross {i} out", mixed))
        x_BE = g.feed_forward(f"decoder {i}", x_BE)
    logits = g.op_to("logits", "Identity", g.linear("head", g.normal(x_BE)))
    _choose(g, logits)
    return g.serialize()


def _choose(g: GraphBuilder, logits: str) -> None:
    """Argmax in two levels, since ORT's over a whole vocabulary is slow; and its probability."""
    blocks = g.op("Reshape", logits, g.ints(0, VOCABULARY // BLOCK, BLOCK))
    best = g.op("ArgMax", g.op("ReduceMax", blocks, g.ints(2), keepdims=0), axis=1, keepdims=1)
    inside = g.op("ArgMax", g.op("GatherND", blocks, best, batch_dims=1), axis=1, keepdims=0)
    start = g.op("Mul", g.op("Squeeze", best, g.ints(1)), g.scalar(BLOCK))
    g.op_to("next_ids", "Add", start, inside)
    chances = g.op("LogSoftmax", logits, axis=-1)
    g.op_to("next_scores", "ReduceMax", chances, g.ints(1), keepdims=0)

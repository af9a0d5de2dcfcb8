"""The translation network as two graphs that let rows of different age share a decode step.

The encoder takes the tokens of several sentences in one packed axis and keeps them apart by a
mask; the decoder makes one step for B rows, each at its own position, over caches in fixed slots.

Shapes: N packed source tokens, B rows, S source slots, T target slots, H heads, d head size,
V vocabulary, D = H * d.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import Tensor, nn

from export.convert.graph_builder import CONTRIB, FLOAT, INT32, INT64, Axis, GraphBuilder
from export.convert.output_layer import ARGMAX_BLOCK, OutputLayer, WholeVocabulary
from export.networks.transformer import DecoderLayer, EncoderLayer, Transformer

# A finite mask: e^-60 is far below fp32 resolution, and no denormal slows the softmax down.
MASKED = -60.0
CROSS_INPUTS = ("cross_key_last", "cross_value_last", "cross_key", "cross_value")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TransformerGraphs:
    encoder: onnx.ModelProto
    decoder: onnx.ModelProto


def transformer_graphs(
    network: Transformer, output: OutputLayer | None = None
) -> TransformerGraphs:
    """Both graphs of a network in evaluation mode, fp32; the vocabulary a multiple of 128.

    `output` ends the decoder's step, else the whole vocabulary is scored.
    """
    if network.config.vocabulary % ARGMAX_BLOCK:
        raise ValueError(f"the vocabulary must be a multiple of {ARGMAX_BLOCK}")
    return TransformerGraphs(_Encoder(network).build(), _Decoder(network, output).build())


class _Stack:
    """What both graphs share: embedding, norms, feed-forward blocks."""

    def __init__(self, network: Transformer, name: str) -> None:
        self.network, self.config = network, network.config
        self.heads = network.config.heads
        self.head_size = network.config.width // network.config.heads
        self.graph = GraphBuilder(name)
        self._paths = {id(module): path for path, module in network.named_modules()}

    def embed(self, ids: str, positions: str) -> str:
        graph, scale = self.graph, self.config.width**0.5
        table = graph.constant("embedding", _array(self.network.embedding.weight) * scale)
        places = graph.constant("positions", _array(self.network.positions))
        token = graph.node("Gather", [table, ids])
        return graph.node("Add", [token, graph.node("Gather", [places, positions])])

    def linear(self, value: str, layer: nn.Linear) -> str:
        """Weights keep the layer's path in the network: calibration finds them by it."""
        weight = np.ascontiguousarray(_array(layer.weight).T)
        return self.graph.linear(value, self._paths[id(layer)], weight, _array(layer.bias))

    def norm(self, value: str, layer: nn.LayerNorm) -> str:
        name = self._paths[id(layer)]
        scale = self.graph.constant(f"{name}.scale", _array(layer.weight))
        bias = self.graph.constant(f"{name}.bias", _array(layer.bias))
        inputs = [value, scale, bias]
        return self.graph.node("LayerNormalization", inputs, axis=-1, epsilon=layer.eps)

    def feed_forward(self, value: str, block: nn.Sequential) -> str:
        first, last = block[0], block[2]
        assert isinstance(first, nn.Linear)
        assert isinstance(last, nn.Linear)
        inner = self.graph.node("Relu", [self.linear(value, first)])
        return self.linear(inner, last)

    def add(self, left: str, right: str) -> str:
        return self.graph.node("Add", [left, right])


class _Encoder(_Stack):
    def __init__(self, network: Transformer) -> None:
        super().__init__(network, "encoder")

    def build(self) -> onnx.ModelProto:
        graph = self.graph
        ids, positions, segments = (
            graph.input(name, INT64, ["tokens"])
            for name in ("input_ids", "position_ids", "segment_ids")
        )
        mask = self._same_segment(segments)
        x = self.embed(ids, positions)
        for layer in self.network.encoder:
            assert isinstance(layer, EncoderLayer)
            x = self._layer(x, layer, mask)
        self._cross_keys_and_values(self.norm(x, self.network.encoder_norm))
        return graph.model()

    def _same_segment(self, segments: str) -> str:
        graph = self.graph
        row = graph.node("Unsqueeze", [segments, graph.integers(0)])
        column = graph.node("Unsqueeze", [segments, graph.integers(1)])
        same = graph.node("Equal", [row, column])
        return graph.node("Where", [same, graph.scalar(0.0), graph.scalar(MASKED)])

    def _layer(self, x: str, layer: EncoderLayer, mask: str) -> str:
        graph = self.graph
        normed = self.norm(x, layer.attention_norm)
        query, key, value = self._heads_of(normed, layer.query_key_value)
        scores = graph.node("MatMul", [query, graph.node("Transpose", [key], perm=[0, 2, 1])])
        scaled = graph.node("Mul", [scores, graph.scalar(self.head_size**-0.5)])
        weights = exact_softmax(graph, self.add(scaled, mask))
        mixed = graph.node("Transpose", [graph.node("MatMul", [weights, value])], perm=[1, 0, 2])
        joined = graph.reshape(mixed, -1, self.config.width)
        x = self.add(x, self.linear(joined, layer.attention.output))
        normed = self.norm(x, layer.feed_forward_norm)
        return self.add(x, self.feed_forward(normed, layer.feed_forward))

    def _heads_of(self, value: str, layer: nn.Linear) -> list[str]:
        """Query, key and value, each [H, N, d]: three products need no copy to take them apart."""
        path = self._paths[id(layer)]
        weights = np.split(np.ascontiguousarray(_array(layer.weight).T), 3, axis=1)
        biases = np.split(_array(layer.bias), 3)
        parts = []
        for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            product = self.graph.linear(value, f"{path}.{i}", np.ascontiguousarray(weight), bias)
            by_head = self.graph.reshape(product, -1, self.heads, self.head_size)
            parts.append(self.graph.node("Transpose", [by_head], perm=[1, 0, 2]))
        return parts

    def _cross_keys_and_values(self, memory: str) -> None:
        for i, layer in enumerate(self.network.decoder):
            assert isinstance(layer, DecoderLayer)
            packed = self.linear(memory, layer.cross_key_value)
            by_head = self.graph.reshape(packed, -1, 2 * self.heads, self.head_size)
            shape: list[Axis] = [2 * self.heads, "tokens", self.head_size]
            name = self.graph.output(f"cross_key_value.{i}", FLOAT, shape)
            self.graph.node("Transpose", [by_head], out=name, perm=[1, 0, 2])


class _Decoder(_Stack):
    def __init__(self, network: Transformer, output: OutputLayer | None) -> None:
        super().__init__(network, "decoder")
        self._output = output or WholeVocabulary(network)

    def build(self) -> onnx.ModelProto:
        graph = self.graph
        ids, positions, lengths = (
            graph.input(name, INT64, ["rows"])
            for name in ("input_ids", "position_ids", "source_lengths")
        )
        self._declare_caches()
        last = graph.node("Sub", [lengths, graph.integer(1)])
        own = self._slot_numbers(positions, "past_key.0")
        cross = self._slot_numbers(last, "cross_key.0")
        # one token a row: the operator for attention wants that axis, products do not mind it
        x = graph.node("Unsqueeze", [self.embed(ids, positions), graph.integers(1)])
        for i, layer in enumerate(self.network.decoder):
            assert isinstance(layer, DecoderLayer)
            x = self._layer(x, i, layer, own, cross)
        self._output.choose(graph, self.norm(x, self.network.decoder_norm))
        return graph.model()

    def _declare_caches(self) -> None:
        for i in range(len(self.network.decoder)):
            for kind in ("key", "value"):
                own: list[Axis] = ["rows", self.heads, "target_slots", self.head_size]
                cross: list[Axis] = ["rows", self.heads, "source_slots", self.head_size]
                self.graph.input(f"past_{kind}.{i}", FLOAT, own)
                self.graph.input(f"cross_{kind}.{i}", FLOAT, cross)
                self.graph.input(f"cross_{kind}_last.{i}", FLOAT, ["rows", 1, self.config.width])
                self.graph.output(f"present_{kind}.{i}", FLOAT, own)
                self.graph.output(f"cross_{kind}_out.{i}", FLOAT, cross)

    def _slot_numbers(self, last: str, cache: str) -> tuple[str, str]:
        """Each row's last filled slot, and how many slots there are, as the operator wants them."""
        graph = self.graph
        slots = graph.node("Shape", [cache], start=2, end=3)
        return graph.node("Cast", [last], to=INT32), graph.node("Cast", [slots], to=INT32)

    def _layer(
        self, x: str, i: int, layer: DecoderLayer, own: tuple[str, str], cross: tuple[str, str]
    ) -> str:
        normed = self.norm(x, layer.attention_norm)
        packed = self.linear(normed, layer.query_key_value)
        mixed = self._attend(
            [packed, "", "", *_each("past_key", "past_value", of=i), *own],
            _each("present_key", "present_value", of=i),
        )
        x = self.add(x, self.linear(mixed, layer.attention.output))
        normed = self.norm(x, layer.cross_norm)
        query = self.linear(normed, layer.cross_query)
        # The operator insists on a new key: the last source token's own is written back over it.
        mixed = self._attend(
            [query, *_each(*CROSS_INPUTS, of=i), *cross],
            _each("cross_key_out", "cross_value_out", of=i),
        )
        output = self.linear(mixed, layer.cross_attention.output)
        x = self.add(x, output)
        normed = self.norm(x, layer.feed_forward_norm)
        return self.add(x, self.feed_forward(normed, layer.feed_forward))

    def _attend(self, inputs: list[str], caches: list[str]) -> str:
        mixed, *_ = self.graph.nodes(
            "GroupQueryAttention",
            inputs,
            ["", *caches],
            domain=CONTRIB,
            num_heads=self.heads,
            kv_num_heads=self.heads,
        )
        return mixed


def exact_softmax(graph: GraphBuilder, scores: str) -> str:
    """Over the last axis, with the same bits wherever in it the scores that count stand.

    A sum in floating point depends on its order, and the operator's own order on the place; a last
    bit can then tip an activation over to the next byte. So powers are rounded to multiples of
    2^-16, whose sums are exact.
    """
    highest = graph.node("ReduceMax", [scores, graph.integers(-1)], keepdims=1)
    powers = graph.node("Exp", [graph.node("Sub", [scores, highest])])
    # next to 192, float32 holds multiples of 2^-16 alone
    far, near = graph.scalar(192.0), graph.scalar(-192.0)
    stepped = graph.node("Add", [graph.node("Add", [powers, far]), near])
    total = graph.node("ReduceSum", [stepped, graph.integers(-1)], keepdims=1)
    return graph.node("Div", [stepped, total])


def _each(*names: str, of: int) -> list[str]:
    """These tensors of one layer."""
    return [f"{name}.{of}" for name in names]


def _array(parameter: Tensor) -> Floats:
    values: Floats = parameter.detach().cpu().numpy().astype(np.float32)
    return values

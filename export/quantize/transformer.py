"""Translation in int8: fixed scales for activations, measured once on real sentences.

A dynamic scale depends on every row of a batch, so that a translation would depend on who shares
the batch; a fixed one makes rows independent at no cost.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

from export.convert.graph_builder import CONTRIB
from export.networks.transformer import Transformer
from export.quantize.weights import to_int8

OUTPUT_LAYER = "output"
EMBEDDING = "embedding"
SMALLEST_BLOCK = 16


@dataclass
class Range:
    """The least and the greatest value that a layer was given."""

    low: float = 0.0
    high: float = 0.0

    def include(self, values: Tensor) -> None:
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))


@torch.no_grad()
def calibrate(
    network: Transformer, batches: Iterable[tuple[Tensor, Tensor]], pad_id: int
) -> dict[str, Range]:
    """Ranges by layer path, over the real tokens of (source [N, S], decoder input [N, T])."""
    ranges: dict[str, Range] = {}
    real: dict[str, Tensor] = {}
    handles = []

    def watch(path: str, side: str) -> None:
        def look(module: nn.Module, given: tuple[Tensor, ...]) -> None:
            ranges.setdefault(path, Range()).include(given[0][real[side]])

        handles.append(network.get_submodule(path).register_forward_pre_hook(look))

    for path, module in network.named_modules():
        if isinstance(module, nn.Linear):
            on_source = path.startswith("encoder") or path.endswith("cross_key_value")
            watch(path, "source" if on_source else "target")
    for source_NS, target_NT in batches:
        real["source"], real["target"] = source_NS != pad_id, target_NT != pad_id
        memory_NSD, keep = network.encode(source_NS)
        hidden_NTD = network.hidden(memory_NSD, keep, target_NT)
        ranges.setdefault(OUTPUT_LAYER, Range()).include(hidden_NTD[real["target"]])
    for handle in handles:
        handle.remove()
    return ranges


def quantize_transformer(model: onnx.ModelProto, ranges: dict[str, Range]) -> onnx.ModelProto:
    """A copy in which every product with a constant runs on bytes, its bias fused, and tokens are
    embedded from bytes."""
    quantized = onnx.ModelProto()
    quantized.CopyFrom(model)
    graph = quantized.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    rewriter = _Rewriter(constants, ranges)
    nodes = rewriter.rewrite(list(graph.node))
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [t for t in graph.initializer if t.name in used] + list(rewriter.added.values())
    del graph.initializer[:]
    graph.initializer.extend(kept)
    onnx.checker.check_model(quantized)
    return quantized


def range_of(layer: str, ranges: dict[str, Range]) -> Range:
    """What a layer was given; a part of one, as `query_key_value.0`, what the whole was given."""
    return ranges[layer] if layer in ranges else ranges[layer.rpartition(".")[0]]


class _Rewriter:
    def __init__(self, constants: dict[str, NDArray[np.generic]], ranges: dict[str, Range]) -> None:
        self._constants, self._ranges = constants, ranges
        self.added: dict[str, onnx.TensorProto] = {}
        self._bytes: dict[str, tuple[str, str, str]] = {}

    def rewrite(self, nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
        followers: dict[str, list[onnx.NodeProto]] = {}
        for node in nodes:
            for name in node.input:
                followers.setdefault(name, []).append(node)
        rewritten: list[onnx.NodeProto] = []
        fused: set[str] = set()
        for node in nodes:
            if node.name in fused:
                continue
            if node.op_type == "MatMul" and node.input[1] in self._constants:
                addition = followers[node.output[0]][0]
                fused.add(addition.name)
                rewritten += self._linear(node, addition)
            elif node.op_type == "Gather" and node.input[0] == EMBEDDING:
                rewritten.append(self._embedded(node))
            else:
                rewritten.append(node)
        return rewritten

    def _embedded(self, lookup: onnx.NodeProto) -> onnx.NodeProto:
        """Each token with a scale of its own. No product takes these bytes: they use all bits."""
        table_VD = self._constants[EMBEDDING].astype(np.float32)
        width = table_VD.shape[1]
        if width < SMALLEST_BLOCK or width & (width - 1):
            return lookup  # the operator knows powers of two
        quantized = to_int8(table_VD, axis=0, largest=127)
        values = (quantized.values.astype(np.int16) + 128).astype(np.uint8)
        return helper.make_node(
            "GatherBlockQuantized",
            [
                self._add(f"{EMBEDDING}_bytes", values),
                lookup.input[1],
                self._add(f"{EMBEDDING}_scales", quantized.scales),
            ],
            list(lookup.output),
            name=f"{lookup.name}.int8",
            domain=CONTRIB,
            bits=8,
            block_size=width,
            gather_axis=0,
            quantize_axis=1,
        )

    def _linear(self, product: onnx.NodeProto, addition: onnx.NodeProto) -> list[onnx.NodeProto]:
        value, weight = product.input
        layer = weight.removesuffix(".weight")
        nodes: list[onnx.NodeProto] = []
        if value not in self._bytes:
            self._bytes[value] = self._activation(value, range_of(layer, self._ranges))
            nodes.append(self._quantize(value))
        as_bytes, scale, zero = self._bytes[value]
        quantized = to_int8(self._constants[weight].astype(np.float32), axis=1)
        values = self._add(f"{layer}.weight_int8", quantized.values)
        scales = self._add(f"{layer}.weight_scale", quantized.scales[0])
        nodes.append(
            helper.make_node(
                "MatMulIntegerToFloat",
                [as_bytes, values, scale, scales, zero, "", addition.input[1]],
                [addition.output[0]],
                name=f"{layer}.int8",
                domain=CONTRIB,
            )
        )
        return nodes

    def _activation(self, value: str, seen: Range) -> tuple[str, str, str]:
        """A value never below zero, as behind a ReLU, has all 256 levels to itself."""
        positive = seen.low >= 0
        scale = seen.high / 255 if positive else max(-seen.low, seen.high) / 127
        return (
            f"{value}_bytes",
            self._add(f"{value}_scale", np.float32(scale)),
            self._add(f"{value}_zero", np.uint8(0 if positive else 128)),
        )

    def _quantize(self, value: str) -> onnx.NodeProto:
        as_bytes, scale, zero = self._bytes[value]
        return helper.make_node(
            "QuantizeLinear", [value, scale, zero], [as_bytes], name=f"{value}_quantize"
        )

    def _add(self, name: str, values: NDArray[np.generic] | np.generic) -> str:
        self.added[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

"""Text in int8: all weights stored as bytes.

An LSTM multiplies them as bytes (`export.quantize.lstm`). Other networks compute in float: products
of bytes would take one scale for a whole batch, so that an answer would depend on who shares it.
Their weights are unpacked once, at load; a table only for the rows that a text needs.
"""

import re
from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.quantize.lstm import multiply_in_bytes
from export.quantize.weights import Int8Weights, to_int8

Constants = dict[str, NDArray[np.generic]]

FULL_RANGE = 127  # what is not multiplied in bytes cannot saturate
WIDE = 8  # columns
PACKED_WEIGHTS = re.compile(r"gru\.(weight|recurrence)|cnn\.\d+\.weight")


def quantize_text(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `text_graph`'s model a quarter of its size."""
    quantized = onnx.ModelProto()
    quantized.CopyFrom(model)
    graph = quantized.graph
    if any(node.op_type == "LSTM" for node in graph.node):
        multiply_in_bytes(graph)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    added: dict[str, onnx.TensorProto] = {}
    nodes = _unpacked(constants, filter(PACKED_WEIGHTS.fullmatch, constants), added)
    for node in graph.node:
        table = constants.get(node.input[0]) if node.op_type == "Gather" else None
        is_lookup = table is not None and table.dtype != np.int8
        nodes += _lookup(constants, node, added) if is_lookup else [node]
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    produced = {name for node in nodes for name in node.output}
    kept = [t for t in graph.initializer if t.name in used and t.name not in produced]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *added.values()])
    onnx.checker.check_model(quantized)
    return quantized


def _unpacked(
    constants: Constants, names: Iterable[str], added: dict[str, onnx.TensorProto]
) -> list[onnx.NodeProto]:
    """float = int8 * scale on constants alone: ONNX Runtime computes it once, when it loads."""
    nodes = []
    for name in names:
        weights = constants[name].astype(np.float32)
        # a scale for each gate's row [direction, row, 1], or for each filter [filter, 1, 1]
        shape = (len(weights), 1, 1) if name.startswith("cnn") else (*weights.shape[:-1], 1)
        rows = to_int8(weights.reshape(np.prod(shape), -1), axis=0, largest=FULL_RANGE)
        _add(added, f"{name}_int8", rows.values.reshape(weights.shape))
        _add(added, f"{name}_scale", rows.scales.reshape(shape))
        nodes += [
            helper.make_node("Cast", [f"{name}_int8"], [f"{name}_float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_float", f"{name}_scale"], [name]),
        ]
    return nodes


def _lookup(
    constants: Constants, lookup: onnx.NodeProto, added: dict[str, onnx.TensorProto]
) -> list[onnx.NodeProto]:
    """Only the rows that are looked up become floats: of a wide table each with its own scale, of a
    table of a few columns all with the same, since theirs would take as much room as they do."""
    (table, ids), found = lookup.input, lookup.output[0]
    values = constants[table].astype(np.float32)
    wide = values.shape[1] >= WIDE
    packed = to_int8(values, axis=0, largest=FULL_RANGE) if wide else _as_one(values)
    _add(added, f"{table}_int8", packed.values)
    _add(added, f"{table}_scale", packed.scales)
    scale = f"{found}_scale" if wide else f"{table}_scale"
    nodes = [helper.make_node("Gather", [f"{table}_scale", ids], [scale])] if wide else []
    return [
        *nodes,
        helper.make_node("Gather", [f"{table}_int8", ids], [f"{found}_int8"]),
        helper.make_node("Cast", [f"{found}_int8"], [f"{found}_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{found}_float", scale], [found]),
    ]


def _as_one(values: NDArray[np.float32]) -> Int8Weights:
    """One scale for the whole table."""
    packed = to_int8(values.reshape(1, -1), axis=0, largest=FULL_RANGE)
    return Int8Weights(packed.values.reshape(values.shape), packed.scales.reshape(()))


def _add(added: dict[str, onnx.TensorProto], name: str, values: NDArray[np.generic]) -> None:
    added[name] = numpy_helper.from_array(values, name)

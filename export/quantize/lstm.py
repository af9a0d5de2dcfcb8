"""Text in int8: all weights stored as bytes, the arithmetic in float.

ONNX Runtime's int8 LSTM takes one scale for a whole batch at every step, so that an answer
depends on who shares the batch; weights alone leave rows independent. They are unpacked once, at
load; the embedding only for the rows that a text needs.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.quantize.weights import to_int8

FULL_RANGE = 127  # nothing is multiplied in bytes here, so nothing can saturate


def quantize_lstm(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `lstm_graph`'s model a quarter of its size."""
    quantized = onnx.ModelProto()
    quantized.CopyFrom(model)
    graph = quantized.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    lookup = next(node for node in graph.node if node.op_type == "Gather")
    added: list[onnx.TensorProto] = []
    nodes = _unpacked(constants, ("lstm.weight", "lstm.recurrence"), added)
    nodes += _lookup(constants, lookup, added)
    nodes += [node for node in graph.node if node.name != lookup.name]
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    produced = {name for node in nodes for name in node.output}
    kept = [t for t in graph.initializer if t.name in used and t.name not in produced]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *added])
    onnx.checker.check_model(quantized)
    return quantized


def _unpacked(
    constants: dict[str, NDArray[np.generic]], names: tuple[str, ...], added: list[onnx.TensorProto]
) -> list[onnx.NodeProto]:
    """float = int8 * scale on constants alone: ONNX Runtime computes it once, when it loads."""
    nodes = []
    for name in names:
        weights = constants[name].astype(np.float32)
        rows = to_int8(weights.reshape(-1, weights.shape[-1]), axis=0, largest=FULL_RANGE)
        scales = rows.scales.reshape(*weights.shape[:-1], 1)
        added += [
            numpy_helper.from_array(rows.values.reshape(weights.shape), f"{name}_int8"),
            numpy_helper.from_array(scales, f"{name}_scale"),
        ]
        nodes += [
            helper.make_node("Cast", [f"{name}_int8"], [f"{name}_float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_float", f"{name}_scale"], [name]),
        ]
    return nodes


def _lookup(
    constants: dict[str, NDArray[np.generic]],
    lookup: onnx.NodeProto,
    added: list[onnx.TensorProto],
) -> list[onnx.NodeProto]:
    table, ids = lookup.input
    packed = to_int8(constants[table].astype(np.float32), axis=0, largest=FULL_RANGE)
    added += [
        numpy_helper.from_array(packed.values, f"{table}_int8"),
        numpy_helper.from_array(packed.scales, f"{table}_scale"),
    ]
    return [
        helper.make_node("Gather", [f"{table}_int8", ids], ["row_int8"]),
        helper.make_node("Gather", [f"{table}_scale", ids], ["row_scale"]),
        helper.make_node("Cast", ["row_int8"], ["row_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["row_float", "row_scale"], [lookup.output[0]]),
    ]

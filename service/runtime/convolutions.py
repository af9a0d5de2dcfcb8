"""Int8 convolutions in the form that ONNX Runtime multiplies with AMX tiles.

It has a kernel of its own for convolutions whose weights have a zero point of 0, and that one knows
no tiles; with any other zero point they become products of matrices, which do. So weights and zero
point both lose 1, where it pays: what they stand for stays the same, to the last bit of a sum.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.runtime.protobuf import Value, as_bytes, as_number, as_text, fields, message

# Products a sum from which on it pays, measured (docs/findings.md). Below, to lay out a matrix and
# to bring each of its sums back to a byte takes longer than the tiles gain.
LEAST_DEPTH = 512

# field numbers of the format's ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto and
# ValueInfoProto
GRAPH = 7
NODE, INITIALIZER, GRAPH_OUTPUT = 1, 5, 12
INPUT, OUTPUT, OPERATOR, ATTRIBUTE = 1, 2, 4, 5
ATTRIBUTE_NAME, NUMBER, SUBGRAPH, SUBGRAPHS = 1, 3, 6, 11
DIMENSION, TYPE, SMALL_NUMBERS, TENSOR_NAME, RAW = 1, 2, 5, 8, 9
VALUE_NAME = 1
INT8 = 3  # a TensorProto's TYPE


def for_tiles(model: bytes) -> bytes:
    """The same network with its large int8 convolutions as products of matrices; the very `model`
    where there are none, or where it is not written as quantizers write it."""
    try:
        parts = list(fields(memoryview(model)))
        places = [place for place, (number, _) in enumerate(parts) if number == GRAPH]
        if len(places) != 1:
            return model
        graph = list(fields(as_bytes(parts[places[0]][1])))
        changed = list(_changed(graph))
    except (ValueError, LookupError):  # ONNX Runtime will tell what is wrong with it
        return model
    if not changed:
        return model
    for tensor in changed:
        graph[tensor.place] = (INITIALIZER, memoryview(_less_one(tensor)))
    parts[places[0]] = (GRAPH, memoryview(message(graph)))
    return message(parts)


class _Node(NamedTuple):
    operator: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    groups: int
    has_subgraph: bool


class _Tensor(NamedTuple):
    """An initial tensor of int8, and which part of its graph it is."""

    place: int
    name: str
    values: NDArray[np.int8]


def _changed(graph: Sequence[tuple[int, Value]]) -> Iterator[_Tensor]:
    """The weights and zero points of the convolutions that are to be products."""
    nodes = [_read_node(as_bytes(value)) for number, value in graph if number == NODE]
    if any(node.has_subgraph for node in nodes):  # which may use any name
        return
    uses = Counter(name for node in nodes for name in node.inputs)
    uses.update(
        as_text(dict(fields(as_bytes(value)))[VALUE_NAME])
        for number, value in graph
        if number == GRAPH_OUTPUT
    )
    tensors = {
        tensor.name: tensor
        for place, (number, value) in enumerate(graph)
        if number == INITIALIZER and (tensor := _read_tensor(place, as_bytes(value))) is not None
    }
    for names in _weights_of_convolutions(nodes):
        if all(uses[name] == 1 for name in names):
            weights, zero = tensors.get(names[0]), tensors.get(names[1])
            if weights is not None and zero is not None and _is_suited(weights, zero):
                yield weights
                yield zero


def _weights_of_convolutions(nodes: Sequence[_Node]) -> Iterator[Sequence[str]]:
    """Weights, zero point, and what else may have no other use, for each convolution."""
    scaled = {
        node.outputs[0]: node.inputs
        for node in nodes
        if node.operator == "DequantizeLinear" and len(node.inputs) == 3
    }
    for node in nodes:
        if node.groups != 1:
            continue
        if node.operator == "QLinearConv":
            yield node.inputs[3], node.inputs[5]
        elif node.operator == "Conv" and node.inputs[1] in scaled:
            weights, _, zero_point = scaled[node.inputs[1]]
            yield weights, zero_point, node.inputs[1]


def _is_suited(weights: _Tensor, zero: _Tensor) -> bool:
    shape = weights.values.shape
    return (
        prod(shape[1:]) >= LEAST_DEPTH
        and not zero.values.any()
        and int(weights.values.min()) > np.iinfo(np.int8).min
    )


def _less_one(tensor: _Tensor) -> bytes:
    values = tensor.values - np.int8(1)
    return message(
        [
            *((DIMENSION, side) for side in values.shape),
            (TYPE, INT8),
            (TENSOR_NAME, tensor.name.encode()),
            (RAW, values.tobytes()),
        ]
    )


def _read_node(node: memoryview) -> _Node:
    operator, groups, has_subgraph = "", 1, False
    inputs: list[str] = []
    outputs: list[str] = []
    for number, value in fields(node):
        if number == INPUT:
            inputs.append(as_text(value))
        elif number == OUTPUT:
            outputs.append(as_text(value))
        elif number == OPERATOR:
            operator = as_text(value)
        elif number == ATTRIBUTE:
            attribute = dict(fields(as_bytes(value)))
            has_subgraph = has_subgraph or SUBGRAPH in attribute or SUBGRAPHS in attribute
            if as_text(attribute.get(ATTRIBUTE_NAME, memoryview(b""))) == "group":
                groups = as_number(attribute.get(NUMBER, 1))
    return _Node(operator, inputs, outputs, groups, has_subgraph)


def _read_tensor(place: int, tensor: memoryview) -> _Tensor | None:
    """None for another type than int8, and for values written in any but the two usual ways."""
    shape: list[int] = []
    name, kind, values = "", 0, memoryview(b"")
    for number, value in fields(tensor):
        if number == DIMENSION:
            shape.append(as_number(value))
        elif number == TYPE:
            kind = as_number(value)
        elif number == TENSOR_NAME:
            name = as_text(value)
        elif number in (RAW, SMALL_NUMBERS):  # from 0 to 127 a byte each, below 0 ten of them
            values = as_bytes(value)
    if kind != INT8 or len(values) != prod(shape):
        return None
    return _Tensor(place, name, np.frombuffer(values, np.int8).reshape(shape))

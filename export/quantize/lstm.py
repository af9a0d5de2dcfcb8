"""An LSTM that multiplies in int8, and whose answers do not depend on who shares the batch.

ONNX Runtime's DynamicQuantizeLSTM takes the scale of its input for a whole run, and that of its
state anew at each step, from the least and the largest number of all rows. Here two more columns
of the input and two more cells of each direction, the *guards*, hold the least and the largest
that there can be: a range that has them in it is the same whatever else is in it.

From c_t = f c_(t-1) + i g and h_t = o tanh(c_t), with gates between 0 and 1 and g between -1 and
1 (Hochreiter and Schmidhuber 1997; Gers et al. 2000), follow |c_t| <= t and |h_t| <= tanh(t). A
guard has all gates open and a g of 1 or of -1, and begins where tanh is 1 already, so that the
range of the states is from -1 to 1 at every step, whenever a text began.

Shapes: V tokens of the vocabulary, E embedding width, D hidden width, H the same with guards.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.convert.graph_builder import CONTRIB
from export.quantize.weights import Int8Weights, to_int8

Floats = NDArray[np.float32]

GATES, CELL = 4, 3  # input, output, forget and cell gate, in ONNX's order
GUARDS = 2
OPEN = 40.0  # the bias of a gate whose sigmoid or tanh is 1 in float32
SATED = 20.0  # a cell whose tanh is 1 in float32
MULTIPLE = 8  # cells, so that each row of weights begins where vectors do
# From -128 to 127 are 255 steps of 1: the bytes of a table are then taken as they are.
LEAST, LARGEST = -128, 127

TABLE, HEAD = "embedding", "head.weight"
CELLS = ("lstm.weight", "lstm.recurrence", "lstm.bias")


@dataclass(frozen=True)
class GuardedLstm:
    """table int8 [V, E + 2], weight int8 [2, E + 2, 4 H], recurrence int8 [2, H, 4 H], both with
    scales float32 [2, 4 H], bias float32 [2, 8 H], first states of cells and of what they give
    float32 [2, 1, H]. Of H cells the first D are those of before."""

    table: NDArray[np.int8]
    weight: Int8Weights
    recurrence: Int8Weights
    bias: Floats
    first_given: Floats
    first_cell: Floats

    @property
    def hidden(self) -> int:
        """H."""
        return int(self.recurrence.values.shape[1])


def with_guards(table_VE: Floats, weight: Floats, recurrence: Floats, bias: Floats) -> GuardedLstm:
    """From a table of embeddings and ONNX's W [2, 4 D, E], R [2, 4 D, D] and B [2, 8 D].

    Each column of the table has a scale of its own, which goes into the weights behind it.
    """
    (_, embedding), cells = table_VE.shape, recurrence.shape[2]
    hidden = -(-(cells + GUARDS) // MULTIPLE) * MULTIPLE
    scale_E = np.maximum(np.abs(table_VE).max(axis=0), np.float32(1e-8)) / np.float32(LARGEST)
    table = np.empty((len(table_VE), embedding + GUARDS), np.int8)
    table[:, :embedding] = np.round(table_VE / scale_E)
    table[:, embedding:] = LEAST, LARGEST
    bounds = np.zeros((len(bias), 1, hidden), np.float32)
    bounds[..., cells : cells + GUARDS] = -1.0, 1.0
    return GuardedLstm(
        table,
        _packed(weight * scale_E, hidden, embedding + GUARDS),
        _packed(recurrence, hidden, hidden),
        _biases(bias, hidden),
        bounds,
        bounds * np.float32(SATED),
    )


def _packed(matrix: Floats, hidden: int, inputs: int) -> Int8Weights:
    """[2, 4 D, X] -> int8 [2, inputs, 4 H] with zeros for what is new; scales [2, 4 H]."""
    both, rows, width = matrix.shape
    wider = np.zeros((both, GATES, hidden, inputs), np.float32)
    wider[:, :, : rows // GATES, :width] = matrix.reshape(both, GATES, rows // GATES, width)
    packed = to_int8(wider.reshape(both * GATES * hidden, inputs), axis=0)
    values = packed.values.reshape(both, GATES * hidden, inputs).transpose(0, 2, 1)
    return Int8Weights(np.ascontiguousarray(values), packed.scales.reshape(both, GATES * hidden))


def _biases(bias: Floats, hidden: int) -> Floats:
    """[2, 8 D], of input and of state -> [2, 8 H], of which the guards' keep their gates open."""
    both, cells = len(bias), bias.shape[1] // (2 * GATES)
    wider = np.zeros((both, GATES, hidden), np.float32)
    wider[:, :, :cells] = bias.reshape(both, 2, GATES, cells).sum(axis=1)
    low, high = cells, cells + 1
    wider[:, :, [low, high]] = OPEN
    wider[:, CELL, low] = -OPEN
    of_input = wider.reshape(both, GATES * hidden)
    return np.concatenate([of_input, np.zeros_like(of_input)], axis=1)


def multiply_in_bytes(graph: onnx.GraphProto) -> None:
    """Rewrite the LSTM of a `text_graph`, and what stands around it, in place.

    The guards' states go as far as the last layer, whose weights for them are zero.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    lstm = with_guards(*(constants[name] for name in (TABLE, *CELLS)))
    new: dict[str, NDArray[Any]] = {
        f"{TABLE}_int8": lstm.table,
        "lstm.weight_int8": lstm.weight.values,
        "lstm.weight_scale": lstm.weight.scales,
        "lstm.recurrence_int8": lstm.recurrence.values,
        "lstm.recurrence_scale": lstm.recurrence.scales,
        "lstm.zero_point": np.zeros_like(lstm.weight.scales, np.int8),
        "lstm.guarded_bias": lstm.bias,
        "lstm.first_given": lstm.first_given,
        "lstm.first_cell": lstm.first_cell,
        "lstm.both": np.array([2], np.int64),
        "lstm.hidden": np.array([lstm.hidden], np.int64),
        "lstm.row": np.array([0, 0, 2 * lstm.hidden], np.int64),
        HEAD: _wider_head(constants[HEAD], lstm.hidden),
    }
    nodes = [new_node for node in graph.node for new_node in _of_bytes(node, lstm.hidden)]
    del graph.node[:]
    graph.node.extend(nodes)
    kept = [t for t in graph.initializer if t.name not in {TABLE, HEAD, *CELLS}]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in new.items())


def _of_bytes(node: onnx.NodeProto, hidden: int) -> list[onnx.NodeProto]:
    (made, *_), given = node.output, list(node.input)
    if node.op_type == "Gather" and given[0] == TABLE:
        found = helper.make_node("Gather", [f"{TABLE}_int8", given[1]], [f"{made}_int8"])
        return [found, helper.make_node("Cast", found.output, [made], to=TensorProto.FLOAT)]
    if node.op_type == "LSTM":
        weights = ["lstm.weight_int8", "lstm.recurrence_int8", "lstm.guarded_bias"]
        lengths, no_peepholes = given[4], ""
        names = ("weight_scale", "zero_point", "recurrence_scale", "zero_point")
        scales = [f"lstm.{name}" for name in names]
        first = [f"{made}_first_given", f"{made}_first_cell"]
        return [
            helper.make_node("Shape", [given[0]], [f"{made}_texts"], start=1, end=2),
            helper.make_node(
                "Concat", ["lstm.both", f"{made}_texts", "lstm.hidden"], [f"{made}_states"], axis=0
            ),
            helper.make_node("Expand", ["lstm.first_given", f"{made}_states"], [first[0]]),
            helper.make_node("Expand", ["lstm.first_cell", f"{made}_states"], [first[1]]),
            helper.make_node(
                "DynamicQuantizeLSTM",
                [given[0], *weights, lengths, *first, no_peepholes, *scales],
                [made],
                domain=CONTRIB,
                hidden_size=hidden,
                direction="bidirectional",
            ),
        ]
    if node.op_type == "Reshape":  # the states of both directions, side by side
        return [helper.make_node("Reshape", [given[0], "lstm.row"], [made])]
    return [node]


def _wider_head(weight: Floats, hidden: int) -> Floats:
    """[4 D, K], by maximum and mean and by direction -> [4 H, K]."""
    by_part = weight.reshape(4, -1, weight.shape[1])
    wider = np.zeros((4, hidden, weight.shape[1]), np.float32)
    wider[:, : by_part.shape[1]] = by_part
    return wider.reshape(4 * hidden, -1)

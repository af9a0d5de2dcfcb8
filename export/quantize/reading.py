"""Cuts a text network with an LSTM in two, so that texts can be read piece by piece, side by side.

What an LSTM knows between two tokens is a state of fixed size, and a maximum and a sum over what it
gave so far are all that the pooling needs. So the *reader* takes the next tokens of any texts from
where each of them is, and the *head* answers for those that have been read to their ends.

Shapes: N texts, T tokens of each at most, E embedding width, H hidden width of one direction.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.convert.graph_builder import CONTRIB, FLOAT, INT32, INT64, GraphBuilder
from export.networks.text import LOWEST
from export.quantize.lstm import TABLE

CUT_AT = "DynamicQuantizeLSTM"
WEIGHTS = ("weight_int8", "recurrence_int8", "guarded_bias")
SCALES = ("weight_scale", "zero_point", "recurrence_scale", "zero_point")
BELOW = 2 * LOWEST  # zero, which the LSTM gives behind the end of a text, and this are below all


def reading_graphs(model: onnx.ModelProto) -> dict[str, onnx.ModelProto] | None:
    """{"reader", "head"} of an int8 text network; None for one whose states are not in bytes.

    Reader: ids int64 [2, T, N], onwards and from the end, T even, lengths int32 [N] (1 to T), state
    [N, 4 H], highest [N, 2 H] and total [N, 2 H] -> next_state, next_highest, next_total. At the
    start state and total are 0 and highest is LOWEST. Head: input_ids and attention_mask int64
    [N, T], highest, total -> logits float32 [N, K].
    """
    lstm = next((node for node in model.graph.node if node.op_type == CUT_AT), None)
    if lstm is None:
        return None
    return {"reader": _reader(model.graph, lstm), "head": _head(model, lstm)}


def _reader(graph: onnx.GraphProto, lstm: onnx.NodeProto) -> onnx.ModelProto:
    """Each direction is an LSTM that goes onwards: the other one's tokens come from the end."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    hidden = next(a.i for a in lstm.attribute if a.name == "hidden_size")
    new = GraphBuilder("reader")
    ids = new.input("ids", INT64, [2, "tokens", "texts"])
    lengths = new.input("lengths", INT32, ["texts"])
    state = new.input("state", FLOAT, ["texts", 4 * hidden])
    pooled = [new.input(name, FLOAT, ["texts", 2 * hidden]) for name in ("highest", "total")]
    table = new.constant(f"{TABLE}_int8", constants[f"{TABLE}_int8"])
    first = new.integers(0)
    tokens = new.node("Shape", [ids], start=1, end=2)
    each = new.node("Expand", [new.constant("one_each", np.ones(1, np.float32)), tokens])
    ways = [
        new.node(
            "Cast", [new.node("Gather", [table, new.node("Squeeze", [half, first])])], to=FLOAT
        )
        for half in new.split(ids, 2, axis=0)
    ]
    began = new.constant("first_state", _first_state(constants))
    parts = [
        new.node("Unsqueeze", [part, first])
        for part in new.split(new.node("Add", [state, began]), 4)
    ]
    behind = _behind_the_end(new, tokens, lengths)
    states, highest, total = [], [], []
    for way, (x, h, c) in enumerate(zip(ways, parts[:2], parts[2:], strict=True)):

        def of_way(name: str, way: int = way) -> str:
            return new.constant(f"lstm.{name}.{way}", constants[f"lstm.{name}"][way : way + 1])

        y, *last = new.nodes(
            CUT_AT,
            [x, *map(of_way, WEIGHTS), lengths, h, c, "", *map(of_way, SCALES)],
            ["", "", ""],
            domain=CONTRIB,
            hidden_size=hidden,
            direction="forward",
        )
        states.append([new.node("Squeeze", [value, first]) for value in last])
        # ONNX Runtime takes a maximum over the first axis number by number, over a later one with
        # vectors: so both halves of the piece first, then the higher of two. A sum is quickest as
        # a product.
        masked = new.node("Add", [_halves(new, y), behind])
        of_half = new.node("ReduceMax", [masked, new.integers(1)], keepdims=0)
        highest.append(new.node("ReduceMax", [of_half, first], keepdims=0))
        total.append(new.reshape(new.node("MatMul", [each, new.reshape(y, 0, -1)]), -1, hidden))
    by_kind = [value for kind in zip(*states, strict=True) for value in kind]
    ended = new.node("Concat", by_kind, axis=1)
    new.node("Sub", [ended, began], out=new.output("next_state", FLOAT, ["texts", 4 * hidden]))
    for name, before, now, operator in (
        ("next_highest", pooled[0], highest, "Max"),
        ("next_total", pooled[1], total, "Add"),
    ):
        out = new.output(name, FLOAT, ["texts", 2 * hidden])
        new.node(operator, [before, new.node("Concat", now, axis=1)], out=out)
    return new.model()


def _first_state(constants: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """[4 H], by which `state` differs from what the LSTM holds, so that it is 0 at the start."""
    kinds = [constants[f"lstm.first_{kind}"] for kind in ("given", "cell")]
    return np.concatenate([way.reshape(-1) for kind in kinds for way in kind])


def _behind_the_end(new: GraphBuilder, tokens: str, lengths: str) -> str:
    """BELOW where a text has ended and 0 where it has not, [2, T / 2, N, 1]."""
    places = new.node("Range", [new.integer(0), new.node("Squeeze", [tokens]), new.integer(1)])
    column = new.node("Unsqueeze", [new.node("Cast", [places], to=INT32), new.integers(1)])
    ended = new.node("Not", [new.node("Less", [column, lengths])])
    below = new.node("Mul", [new.node("Cast", [ended], to=FLOAT), new.scalar(BELOW)])
    return _halves(new, new.node("Unsqueeze", [below, new.integers(1, 3)]))


def _halves(new: GraphBuilder, value: str) -> str:
    """[T, 1, N, …] as [2, T / 2, N, …], without a copy."""
    return new.reshape(value, 2, -1, 0, 0)


def _head(model: onnx.ModelProto, lstm: onnx.NodeProto) -> onnx.ModelProto:
    """What the network does with a maximum and a sum: they come from outside now."""
    graph = model.graph
    reductions = dict(_reductions(graph, lstm.output[0]))
    hidden = next(a.i for a in lstm.attribute if a.name == "hidden_size")
    given = {reductions["ReduceMax"]: "highest", reductions["ReduceSum"]: "total"}
    wanted, nodes = {value.name for value in graph.output}, []
    for node in reversed(graph.node):
        if wanted.isdisjoint(node.output):
            continue
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [given.get(name, name) for name in node.input]
        wanted.update(copy.input)
        nodes.append(copy)
    pooled = [
        helper.make_tensor_value_info(name, FLOAT, ["batch", 2 * hidden]) for name in given.values()
    ]
    head = onnx.ModelProto()
    head.CopyFrom(model)
    del head.graph.node[:], head.graph.initializer[:]
    head.graph.name = "head"
    head.graph.input.extend(pooled)
    head.graph.node.extend(reversed(nodes))
    head.graph.initializer.extend(t for t in graph.initializer if t.name in wanted)
    onnx.checker.check_model(head)
    return head


def _reductions(graph: onnx.GraphProto, states: str) -> Iterator[tuple[str, str]]:
    """The operators that pool what the LSTM gave, with the names of what they give."""
    reached = {states}
    for node in graph.node:
        if reached.isdisjoint(node.input):
            continue
        if node.op_type.startswith("Reduce"):
            yield node.op_type, node.output[0]
        elif node.op_type in ("Transpose", "Reshape", "Where", "Mul"):
            reached.update(node.output)

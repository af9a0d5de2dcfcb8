"""The text networks as one ONNX graph around the operators that read the true lengths only.

Shapes: N texts, T tokens, E embedding width, D hidden width of one direction, F features of a
token, B buckets, C columns of votes, K classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto
from torch import Tensor, nn

from export.convert.graph_builder import FLOAT, INT32, INT64, GraphBuilder
from export.networks.ngrams import LONGEST, STRIDE
from export.networks.readers import Convolutions, Recurrent
from export.networks.text import LOWEST, TextNetwork

Floats = NDArray[np.float32]

# ONNX's order of gates by torch's places: input, output, forget, cell; update, reset, new.
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}


def text_graph(network: TextNetwork) -> onnx.ModelProto:
    """ids and mask int64 [N, T] -> logits float32 [N, K], for a network in evaluation mode."""
    return _Text(network).build()


class _Text:
    def __init__(self, network: TextNetwork) -> None:
        self.network, self.graph = network, GraphBuilder("text")
        graph = self.graph
        self.ids = graph.input("input_ids", INT64, ["batch", "sequence"])
        self.mask = graph.input("attention_mask", INT64, ["batch", "sequence"])
        self.lengths = graph.node("ReduceSum", [self.mask, graph.integers(1)], keepdims=0)
        self.column = graph.node("Unsqueeze", [self.mask, graph.integers(2)])

    def build(self) -> onnx.ModelProto:
        graph, network = self.graph, self.network
        table = graph.constant("embedding", _array(network.embedding.weight))
        x_NTE = graph.node("Gather", [table, self.ids])
        reader = network.reader
        if isinstance(reader, Recurrent):
            states_NTF = self._recurrent(x_NTE, reader)
        else:
            assert isinstance(reader, Convolutions)
            states_NTF = self._convolutions(x_NTE, reader)
        weight = graph.constant("head.weight", np.ascontiguousarray(_array(network.head.weight).T))
        bias = graph.constant("head.bias", _array(network.head.bias))
        product = graph.node("MatMul", [self._pooled(states_NTF), weight])
        logits = graph.output("logits", FLOAT, ["batch", network.config.classes])
        if network.votes is None:
            graph.node("Add", [product, bias], out=logits)
        else:
            added = graph.node("Add", [product, bias])
            graph.node("Add", [added, self._votes(_array(network.votes.table))], out=logits)
        return graph.model()

    def _recurrent(self, x_NTE: str, reader: Recurrent) -> str:
        graph, kind = self.graph, reader.ahead.mode
        x_TNE = graph.node("Transpose", [x_NTE], perm=[1, 0, 2])
        lengths = graph.node("Cast", [self.lengths], to=INT32)
        weights = [graph.constant(name, values) for name, values in _gates(reader).items()]
        more: dict[str, Any] = {"linear_before_reset": 1} if kind == "GRU" else {}
        states_T2ND = graph.node(
            kind,
            [x_TNE, *weights, lengths],
            hidden_size=reader.ahead.hidden_size,
            direction="bidirectional",
            **more,
        )
        by_text = graph.node("Transpose", [states_T2ND], perm=[2, 0, 1, 3])
        return graph.reshape(by_text, 0, 0, reader.features)

    def _convolutions(self, x_NTE: str, reader: Convolutions) -> str:
        graph = self.graph
        real = graph.node("Cast", [self.column], to=FLOAT)
        x_NET = graph.node("Transpose", [graph.node("Mul", [x_NTE, real])], perm=[0, 2, 1])
        seen = []
        for window in reader.windows:
            (size,) = window.kernel_size
            weight = graph.constant(f"cnn.{size}.weight", _array(window.weight))
            bias = graph.constant(f"cnn.{size}.bias", _array(window.bias))
            found = graph.node("Conv", [x_NET, weight, bias], pads=[size // 2, size // 2])
            seen.append(graph.node("Relu", [found]))
        return graph.node("Transpose", [graph.node("Concat", seen, axis=1)], perm=[0, 2, 1])

    def _pooled(self, states_NTF: str) -> str:
        """Maximum and mean of every feature over the real tokens, [N, 2 F]."""
        graph = self.graph
        real = graph.node("Cast", [self.column], to=TensorProto.BOOL)
        masked = graph.node("Where", [real, states_NTF, graph.scalar(LOWEST)])
        highest = graph.node("ReduceMax", [masked, graph.integers(1)], keepdims=0)
        kept = graph.node("Mul", [states_NTF, graph.node("Cast", [self.column], to=FLOAT)])
        total = graph.node("ReduceSum", [kept, graph.integers(1)], keepdims=0)
        count = graph.node("Unsqueeze", [self.lengths, graph.integers(1)])
        mean = graph.node("Div", [total, graph.node("Cast", [count], to=FLOAT)])
        return graph.node("Concat", [highest, mean], axis=1)

    def _votes(self, table_BC: Floats) -> str:
        """The same sums as export.networks.ngrams, [N, K]."""
        graph, buckets = self.graph, len(table_BC)
        table = graph.constant("ngrams", table_BC)
        ids = self._padded(graph.node("Add", [self.ids, graph.integer(1)]))
        mask = self._padded(self.mask)
        bucket = ""
        totals, counts = [], []
        for step in range(LONGEST):
            following, whole = (self._from(value, step) for value in (ids, mask))
            if bucket:
                spread = graph.node("Mul", [bucket, graph.integer(STRIDE)])
                following = graph.node("Add", [spread, following])
            bucket = graph.node("Mod", [following, graph.integer(buckets)])
            real = graph.node(
                "Cast", [graph.node("Unsqueeze", [whole, graph.integers(2)])], to=FLOAT
            )
            said = graph.node("Mul", [graph.node("Gather", [table, bucket]), real])
            totals.append(graph.node("ReduceSum", [said, graph.integers(1)], keepdims=0))
            counts.append(graph.node("ReduceSum", [real, graph.integers(1)], keepdims=0))
        root = graph.node("Sqrt", [graph.node("Sum", counts)])
        votes = graph.node("Div", [graph.node("Sum", totals), root])
        if table_BC.shape[1] > 1:
            return votes
        return graph.node("Concat", [graph.node("Neg", [votes]), votes], axis=1)

    def _padded(self, value_NT: str) -> str:
        """Zeros behind the last token, so that every run has all its places."""
        return self.graph.node("Pad", [value_NT, self.graph.integers(0, 0, 0, LONGEST - 1)])

    def _from(self, value_NT: str, step: int) -> str:
        """[N, T] of the padded [N, T + 2], from this place on."""
        graph, last = self.graph, step - (LONGEST - 1)
        end = graph.integers(last) if last else graph.integers(np.iinfo(np.int64).max)
        return graph.node("Slice", [value_NT, graph.integers(step), end, graph.integers(1)])


def _gates(reader: Recurrent) -> dict[str, Floats]:
    """W [2, G D, E], R [2, G D, D] and B [2, 2 G D] of both directions, gates in ONNX's order."""
    both, name = (reader.ahead, reader.back), reader.ahead.mode.lower()
    return {
        f"{name}.weight": np.stack([_ordered(cell, "weight_ih_l0") for cell in both]),
        f"{name}.recurrence": np.stack([_ordered(cell, "weight_hh_l0") for cell in both]),
        f"{name}.bias": np.stack(
            [
                np.concatenate([_ordered(cell, "bias_ih_l0"), _ordered(cell, "bias_hh_l0")])
                for cell in both
            ]
        ),
    }


def _ordered(cell: nn.RNNBase, name: str) -> Floats:
    order: Sequence[int] = GATES[cell.mode]
    parts = np.split(_array(cell.get_parameter(name)), len(order))
    return np.concatenate([parts[gate] for gate in order])


def _array(parameter: Tensor) -> Floats:
    values: Floats = parameter.detach().cpu().numpy().astype(np.float32)
    return values

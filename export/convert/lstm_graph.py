"""The text network as one ONNX graph around the LSTM operator, which takes true lengths.

Shapes: N texts, T tokens, E embedding width, D hidden width of one direction, K classes.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto
from torch import Tensor, nn

from export.convert.graph_builder import FLOAT, INT32, INT64, GraphBuilder
from export.networks.lstm import BiLstm

Floats = NDArray[np.float32]


def lstm_graph(network: BiLstm) -> onnx.ModelProto:
    """ids and mask int64 [N, T] -> logits float32 [N, K], for a network in evaluation mode."""
    graph = GraphBuilder("text")
    ids = graph.input("input_ids", INT64, ["batch", "sequence"])
    mask = graph.input("attention_mask", INT64, ["batch", "sequence"])
    lengths = graph.node("ReduceSum", [mask, graph.integers(1)], keepdims=0)
    table = graph.constant("embedding", _array(network.embedding.weight))
    x_TNE = graph.node("Transpose", [graph.node("Gather", [table, ids])], perm=[1, 0, 2])
    weights = [graph.constant(name, values) for name, values in _weights(network).items()]
    sequence_lengths = graph.node("Cast", [lengths], to=INT32)
    states_T2ND = graph.node(
        "LSTM",
        [x_TNE, *weights, sequence_lengths],
        hidden_size=network.config.hidden,
        direction="bidirectional",
    )
    pooled = _pool(graph, states_T2ND, mask, lengths, network.config.hidden)
    graph.output("logits", FLOAT, ["batch", network.config.classes])
    head = graph.constant("head.weight", np.ascontiguousarray(_array(network.head.weight).T))
    bias = graph.constant("head.bias", _array(network.head.bias))
    graph.node("Add", [graph.node("MatMul", [pooled, head]), bias], out="logits")
    return graph.model()


def _pool(graph: GraphBuilder, states_T2ND: str, mask: str, lengths: str, hidden: int) -> str:
    """Maximum and mean of every feature over the real tokens, [N, 4 D]."""
    by_text = graph.node("Transpose", [states_T2ND], perm=[2, 0, 1, 3])
    states_NTD = graph.reshape(by_text, 0, 0, 2 * hidden)
    column = graph.node("Unsqueeze", [mask, graph.integers(2)])
    real = graph.node("Cast", [column], to=TensorProto.BOOL)
    lowest = graph.scalar(-1.0)  # tanh never goes below it
    masked = graph.node("Where", [real, states_NTD, lowest])
    highest = graph.node("ReduceMax", [masked, graph.integers(1)], keepdims=0)
    kept = graph.node("Mul", [states_NTD, graph.node("Cast", [column], to=FLOAT)])
    total = graph.node("ReduceSum", [kept, graph.integers(1)], keepdims=0)
    count = graph.node("Cast", [graph.node("Unsqueeze", [lengths, graph.integers(1)])], to=FLOAT)
    return graph.node("Concat", [highest, graph.node("Div", [total, count])], axis=1)


def _weights(network: BiLstm) -> dict[str, Floats]:
    """W [2, 4 D, E], R [2, 4 D, D] and B [2, 8 D], both directions, gates in ONNX's order."""
    both = (network.forward_lstm, network.reverse_lstm)
    return {
        "lstm.weight": np.stack([_gates(lstm, "weight_ih_l0") for lstm in both]),
        "lstm.recurrence": np.stack([_gates(lstm, "weight_hh_l0") for lstm in both]),
        "lstm.bias": np.stack(
            [
                np.concatenate([_gates(lstm, "bias_ih_l0"), _gates(lstm, "bias_hh_l0")])
                for lstm in both
            ]
        ),
    }


def _gates(lstm: nn.LSTM, name: str) -> Floats:
    """torch orders the gates input, forget, cell, output; ONNX input, output, forget, cell."""
    enter, forget, cell, leave = np.split(_array(lstm.get_parameter(name)), 4)
    return np.concatenate([enter, leave, forget, cell])


def _array(parameter: Tensor) -> Floats:
    values: Floats = parameter.detach().cpu().numpy().astype(np.float32)
    return values

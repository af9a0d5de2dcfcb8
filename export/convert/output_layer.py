"""The end of a decoder step: logits, the best token of each row, and its log-probability.

B rows, K candidates, V vocabulary, D width.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from export.convert.graph_builder import FLOAT, INT8, INT32, INT64, GraphBuilder
from export.networks.transformer import Transformer

ARGMAX_BLOCK = 128
CENTRE = 128  # the byte that stands for zero


class OutputLayer(Protocol):
    """Ends a decoder's graph with the outputs logits, next_ids and next_scores."""

    def choose(self, graph: GraphBuilder, hidden_B1D: str) -> None: ...


class WholeVocabulary:
    """Every token has its logit, [B, V]."""

    def __init__(self, network: Transformer) -> None:
        self._network = network

    def choose(self, graph: GraphBuilder, hidden_B1D: str) -> None:
        config = self._network.config
        weight = self._network.embedding.weight.detach().cpu().numpy().astype(np.float32).T
        bias = self._network.output_bias.detach().cpu().numpy().astype(np.float32)
        rows = graph.reshape(hidden_B1D, -1, config.width)
        held = graph.constant("output.weight", np.ascontiguousarray(weight))
        product = graph.node("MatMul", [rows, held])
        logits = graph.output("logits", FLOAT, ["rows", config.vocabulary])
        graph.node("Add", [product, graph.constant("output.bias", bias)], out=logits)
        self._best(graph, logits, config.vocabulary)
        score(graph, logits)

    def _best(self, graph: GraphBuilder, logits: str, vocabulary: int) -> None:
        # Blocks first: ReduceMax is vectorised, a plain ArgMax over the vocabulary is not.
        blocks = graph.reshape(logits, 0, vocabulary // ARGMAX_BLOCK, ARGMAX_BLOCK)
        block_best = graph.node("ReduceMax", [blocks, graph.integers(2)], keepdims=0)
        block = graph.node("ArgMax", [block_best], axis=1, keepdims=1)
        chosen_block = graph.node("GatherND", [blocks, block], batch_dims=1)
        inside = graph.node("ArgMax", [chosen_block], axis=1, keepdims=0)
        number = graph.node("Squeeze", [block, graph.integers(1)])
        first = graph.node("Mul", [number, graph.integer(ARGMAX_BLOCK)])
        graph.node("Add", [first, inside], out=graph.output("next_ids", INT64, ["rows"]))


@dataclass(frozen=True, eq=False)
class OwnCandidates:
    """Each row's own candidates have logits, [B, K], so that no row depends on another's.

    Few rows are multiplied with the weights of their own candidates, inputs of the step; from
    `whole_from` rows on, another input, all together with those of the whole vocabulary, of which
    each takes its own: the same integers, and which is faster depends on the processor.

    `weights_VD` are those of the output layer; `scale` is the size of one step of the hidden
    state's bytes, whose middle is 128.
    """

    weights_VD: NDArray[np.int8]
    count: int
    scale: float

    @property
    def width(self) -> int:
        return int(self.weights_VD.shape[1])

    def choose(self, graph: GraphBuilder, hidden_B1D: str) -> None:
        ids = graph.input("candidate_ids", INT64, ["rows", self.count])
        weights = graph.input("candidate_weights", INT8, ["rows", self.width, self.count])
        scales, biases = (
            graph.input(f"candidate_{name}", FLOAT, ["rows", 1, self.count])
            for name in ("scales", "biases")
        )
        steps = graph.constant("hidden_scale", np.float32(self.scale))
        centre = graph.constant("hidden_zero", np.uint8(CENTRE))
        as_bytes = graph.node("QuantizeLinear", [hidden_B1D, steps, centre])
        # without a zero point the product of one row has a fast kernel; biases make up for it
        rows = graph.node("Shape", [ids], start=0, end=1)
        many = graph.node("GreaterOrEqual", [rows, graph.input("whole_from", INT64, [1])])
        product = graph.node(
            "If",
            [many],
            then_branch=self._of_whole(as_bytes, ids),
            else_branch=self._of_own(as_bytes, weights),
        )
        product = graph.node("Cast", [product], to=FLOAT)
        scored = graph.node("Add", [graph.node("Mul", [product, scales]), biases])
        logits = graph.output("logits", FLOAT, ["rows", self.count])
        graph.node("Reshape", [scored, graph.integers(-1, self.count)], out=logits)
        place = graph.node("ArgMax", [logits], axis=1, keepdims=1)
        next_ids = graph.output("next_ids", INT64, ["rows"])
        graph.node("GatherND", [ids, place], batch_dims=1, out=next_ids)
        score(graph, logits)

    def _of_own(self, as_bytes: str, weights: str) -> onnx.GraphProto:
        branch = GraphBuilder("own", prefix="own_")
        out = branch.output("own_product", INT32, ["rows", 1, self.count])
        branch.node("MatMulInteger", [as_bytes, weights], out=out)
        return branch.graph()

    def _of_whole(self, as_bytes: str, ids: str) -> onnx.GraphProto:
        branch = GraphBuilder("whole", prefix="whole_")
        held = branch.constant("whole_weights", np.ascontiguousarray(self.weights_VD.T))
        rows = branch.reshape(as_bytes, -1, self.width)
        taken = branch.node(
            "GatherElements", [branch.node("MatMulInteger", [rows, held]), ids], axis=1
        )
        out = branch.output("whole_product", INT32, ["rows", 1, self.count])
        branch.node("Unsqueeze", [taken, branch.integers(1)], out=out)
        return branch.graph()


def score(graph: GraphBuilder, logits: str) -> None:
    """log p(best): the softmax of the best logit is the largest of all."""
    shares = graph.node("Softmax", [logits], axis=-1)
    largest = graph.node("ReduceMax", [shares, graph.integers(1)], keepdims=0)
    graph.node("Log", [largest], out=graph.output("next_scores", FLOAT, ["rows"]))


def shifted(
    biases: NDArray[np.float32], sums: NDArray[np.int64], scales: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Biases less what the middle byte adds to each column, whose weights have these sums."""
    return (biases - CENTRE * sums * scales.astype(np.float64)).astype(np.float32)

"""The end of a decoder step: logits, the best token of each row, and its log-probability.

B rows, F common tokens, C scored ones, V vocabulary, D width.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from export.convert.graph_builder import CONTRIB, FLOAT, INT8, INT64, GraphBuilder
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
        place = best_place(graph, logits, config.vocabulary)
        graph.node("Squeeze", [place, graph.integers(1)], out=_next(graph))
        score(graph, logits)


@dataclass(frozen=True, eq=False)
class CommonAndOwn:
    """Tokens in common and each row's own have logits, [B, C], so that no row depends on another.

    The layer's bytes for the F common tokens are constants; a row brings along those of its K `own`
    tokens, and the ids of all C. `scale` is the size of one step of the hidden state's bytes, whose
    middle is 128; `scales` are those of the weights, and `biases` make up for the middle.
    """

    weights_FD: NDArray[np.int8]
    scales_F: NDArray[np.float32]
    biases_F: NDArray[np.float32]
    own: int
    scale: float

    def choose(self, graph: GraphBuilder, hidden_B1D: str) -> None:
        common, width = self.weights_FD.shape
        count = common + self.own
        step = graph.constant("hidden_scale", np.float32(self.scale))
        centre = graph.constant("hidden_zero", np.uint8(CENTRE))
        as_bytes = graph.node("QuantizeLinear", [hidden_B1D, step, centre])
        logits = graph.output("logits", FLOAT, ["rows", count])
        parts = [self._of_common(graph, graph.reshape(as_bytes, -1, width), step)]
        parts.append(graph.reshape(self._of_own(graph, as_bytes), -1, self.own))
        graph.node("Concat", parts, out=logits, axis=1)
        place = best_place(graph, logits, count)
        ids = graph.input("candidate_ids", INT64, ["rows", count])
        graph.node("GatherND", [ids, place], batch_dims=1, out=_next(graph))
        score(graph, logits)

    # without a zero point a product has a faster kernel; biases make up for it

    def _of_common(self, graph: GraphBuilder, rows_BD: str, step: str) -> str:
        held = graph.constant("common_weights", np.ascontiguousarray(self.weights_FD.T))
        scales = graph.constant("common_scales", self.scales_F)
        biases = graph.constant("common_biases", self.biases_F)
        return graph.node(
            "MatMulIntegerToFloat",
            [rows_BD, held, step, scales, "", "", biases],
            domain=CONTRIB,
        )

    def _of_own(self, graph: GraphBuilder, as_bytes: str) -> str:
        width = self.weights_FD.shape[1]
        weights = graph.input("candidate_weights", INT8, ["rows", width, self.own])
        scales, biases = (
            graph.input(f"candidate_{name}", FLOAT, ["rows", 1, self.own])
            for name in ("scales", "biases")
        )
        product = graph.node("Cast", [graph.node("MatMulInteger", [as_bytes, weights])], to=FLOAT)
        return graph.node("Add", [graph.node("Mul", [product, scales]), biases])


def _next(graph: GraphBuilder) -> str:
    return graph.output("next_ids", INT64, ["rows"])


def best_place(graph: GraphBuilder, logits: str, count: int) -> str:
    """[B, 1]: where the largest of `count` logits is, the first of equal ones.

    Blocks first: ReduceMax is vectorised, a plain ArgMax over all is not.
    """
    size = math.gcd(count, ARGMAX_BLOCK)
    blocks = graph.reshape(logits, 0, count // size, size)
    block_best = graph.node("ReduceMax", [blocks, graph.integers(2)], keepdims=0)
    block = graph.node("ArgMax", [block_best], axis=1, keepdims=1)
    chosen_block = graph.node("GatherND", [blocks, block], batch_dims=1)
    inside = graph.node("ArgMax", [chosen_block], axis=1, keepdims=1)
    return graph.node("Add", [graph.node("Mul", [block, graph.integer(size)]), inside])


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

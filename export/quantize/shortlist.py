"""The graph that weighs all target tokens for sentences, and holds the output layer's bytes.

B sentences of N source tokens in all, V vocabulary, D width, L likely targets of a source token.
"""

from dataclasses import dataclass

import numpy as np
import onnx

from export.convert.graph_builder import FLOAT, INT8, INT64, GraphBuilder
from export.convert.output_layer import OwnCandidates, shifted
from export.networks.transformer import Transformer
from export.quantize.weights import to_int8
from export.shortlist import Lexicon

CANDIDATES = 256
ALWAYS = 1e3  # more than any sum of probabilities


@dataclass(frozen=True)
class ShortlistParts:
    """The graph, and the end of the decoder that takes what it gives."""

    graph: onnx.ModelProto
    output: OwnCandidates


def shortlist_graph(
    network: Transformer, lexicon: Lexicon, largest: float, eos_id: int, count: int = CANDIDATES
) -> ShortlistParts:
    """For a network whose hidden states before the output layer are at most `largest` in size."""
    table_VD = network.embedding.weight.detach().cpu().numpy().astype(np.float32)
    weights = to_int8(table_VD, axis=0)
    output = OwnCandidates(weights.values, count, largest / 127)
    scales = weights.scales[:, 0] * np.float32(output.scale)
    bias = network.output_bias.detach().cpu().numpy().astype(np.float32)
    biases = shifted(bias, weights.values.sum(axis=1, dtype=np.int64), scales)

    graph = GraphBuilder("shortlist")
    source, segments = (
        graph.input(name, INT64, ["source_tokens"]) for name in ("source_ids", "segment_ids")
    )
    _weigh(graph, source, segments, lexicon, eos_id)
    for name, values, kind in (
        ("output_weights", weights.values, INT8),
        ("output_scales", scales, FLOAT),
        ("output_biases", biases, FLOAT),
    ):
        graph.output(graph.constant(name, values), kind, values.shape)
    return ShortlistParts(graph.model(), output)


def _weigh(graph: GraphBuilder, source: str, segments: str, lexicon: Lexicon, eos_id: int) -> None:
    """[B, V]: sums of chances; the end token always first, and frequent ones where all is 0.

    The sums of all sentences lie in one row, so that each adds up its own as if it were alone.
    """
    first = lexicon.shares.copy()
    first[eos_id] = ALWAYS
    size = len(first)
    last = graph.node("Gather", [segments, graph.integers(-1)])
    rows = graph.node("Add", [last, graph.integer(1)])
    shape = graph.node("Concat", [rows, graph.integers(size)], axis=0)
    shares = graph.node("Expand", [graph.constant("shares", first), shape])
    begins = graph.node("Mul", [segments, graph.integer(size)])
    targets, chances = (
        graph.node("Gather", [graph.constant(name, table), source])
        for name, table in (("targets", lexicon.targets), ("chances", lexicon.chances))
    )
    places = graph.node("Add", [targets, graph.node("Unsqueeze", [begins, graph.integers(1)])])
    flat = [graph.reshape(value, -1) for value in (shares, places, chances)]
    sums = graph.node("ScatterElements", flat, reduction="add")
    out = graph.output("candidate_sums", FLOAT, ["sentences", size])
    graph.node("Reshape", [sums, graph.integers(-1, size)], out=out)

"""The graph that finds a sentence's candidates and brings their columns of the output layer.

S source tokens, K candidates, V vocabulary, D width, L likely targets of a source token.
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
    source = graph.input("source_ids", INT64, ["source_tokens"])
    chosen = _choose(graph, source, lexicon, eos_id, count)
    columns = graph.node("Gather", [graph.constant("weights", weights.values), chosen])
    held = graph.output("candidate_weights", INT8, [output.width, count])
    graph.node("Transpose", [columns], perm=[1, 0], out=held)
    for name, values in (("scales", scales), ("biases", biases)):
        table = graph.constant(name, values[None])
        out = graph.output(f"candidate_{name}", FLOAT, [1, count])
        graph.node("Gather", [table, chosen], axis=1, out=out)
    return ShortlistParts(graph.model(), output)


def _choose(graph: GraphBuilder, source: str, lexicon: Lexicon, eos_id: int, count: int) -> str:
    """The tokens with the largest sums; the end token always, and frequent ones where all is 0."""
    first = lexicon.shares.copy()
    first[eos_id] = ALWAYS
    targets, chances = (
        graph.reshape(graph.node("Gather", [graph.constant(name, table), source]), -1)
        for name, table in (("targets", lexicon.targets), ("chances", lexicon.chances))
    )
    shares = graph.constant("shares", first)
    sums = graph.node("ScatterElements", [shares, targets, chances], reduction="add")
    found = graph.output("candidate_ids", INT64, [count])
    graph.nodes("TopK", [sums, graph.integers(count)], ["", found], sorted=0)
    return found

"""The graph that holds a shortlist's tables: of the lexicon, and of the output layer's bytes.

F common tokens, V vocabulary, D width, L likely targets of a source token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from export.convert.graph_builder import FLOAT, INT8, INT32, INT64, Axis, GraphBuilder
from export.convert.output_layer import CommonAndOwn, shifted
from export.networks.transformer import Transformer
from export.quantize.weights import to_int8
from export.shortlist import Lexicon

COMMON, OWN = 1984, 64
CERTAIN = 65_535  # the whole number that stands for a chance of 1


@dataclass(frozen=True)
class ShortlistParts:
    """The graph, and the end of the decoder that takes what it gives."""

    graph: onnx.ModelProto
    output: CommonAndOwn


def shortlist_graph(
    network: Transformer, lexicon: Lexicon, largest: float, own: int = OWN
) -> ShortlistParts:
    """For a network whose hidden states before the output layer are at most `largest` in size."""
    table_VD = network.embedding.weight.detach().cpu().numpy().astype(np.float32)
    weights = to_int8(table_VD, axis=0)
    step = largest / 127
    scales = weights.scales[:, 0] * np.float32(step)
    bias = network.output_bias.detach().cpu().numpy().astype(np.float32)
    biases = shifted(bias, weights.values.sum(axis=1, dtype=np.int64), scales)
    common = lexicon.common
    output = CommonAndOwn(
        weights.values[common], weights.scales[common, 0], biases[common], own, step
    )
    graph = GraphBuilder("shortlist")
    chances = np.rint(lexicon.chances * CERTAIN).astype(np.int32)
    tables: list[tuple[str, NDArray[Any], int, Sequence[Axis]]] = [
        ("common_ids", common, INT64, common.shape),
        ("fill_ids", lexicon.others[:own], INT64, [own]),
        ("likely_ids", lexicon.targets.astype(np.int32), INT32, chances.shape),
        ("likely_chances", chances, INT32, chances.shape),
        ("output_weights", weights.values, INT8, weights.values.shape),
        ("output_scales", scales, FLOAT, scales.shape),
        ("output_biases", biases, FLOAT, biases.shape),
    ]
    for name, values, kind, shape in tables:
        graph.output(graph.constant(name, values), kind, shape)
    return ShortlistParts(graph.model(), output)

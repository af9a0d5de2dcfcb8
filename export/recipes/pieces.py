"""Gives a text model's variants the two graphs by which the service reads texts side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from export.candidate import Candidate, answer_of, with_graphs
from export.console import Story
from export.gates import Difference, PiecesGate
from export.quantize.reading import reading_graphs
from model_zoo.manifest import Precision


def in_pieces(candidate: Candidate, items: Sequence[str], story: Story) -> Candidate:
    """The candidate with a reader and a head in each variant that can be cut, once they have
    answered these items as the whole graph does; raises PiecesFailed."""
    graphs: dict[Precision, Mapping[Any, bytes]] = dict(candidate.graphs)
    for precision, whole in candidate.graphs.items():
        cut = reading_graphs(onnx.load_from_string(whole["model"]))
        if cut is not None:
            parts = {role: model.SerializeToString() for role, model in cut.items()}
            graphs[precision] = {**whole, **parts}
    found = with_graphs(candidate, graphs)
    for precision in graphs:
        if is_cut(found, precision):
            difference = compare_pieces(found, precision, items)
            story.say(f"{precision}: reader and head passed ({difference.max_abs:.1e})")
    return found


def is_cut(candidate: Candidate, precision: Precision) -> bool:
    """Whether the service reads this variant piece by piece."""
    return "reader" in candidate.graphs[precision]


def compare_pieces(candidate: Candidate, precision: Precision, items: Sequence[str]) -> Difference:
    """How the variant's two ways to answer differ; raises PiecesFailed if too much."""
    cut = candidate.open(precision)
    whole = candidate.open(precision, in_one_piece=True)
    features = cut.features(items)
    alone = [answer_of(row) for text in features for row in whole.rows([text])]
    return PiecesGate().check(precision, alone, [answer_of(row) for row in cut.rows(features)])

"""A text model gets a reader and a head, but only if they answer as the whole network does."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.candidate import Candidate, draft
from export.console import Story
from export.convert.text_graph import text_graph
from export.gates import PiecesFailed
from export.networks.kinds import TextKind
from export.quantize.reading import reading_graphs
from export.quantize.text import quantize_text
from export.recipes import pieces
from export.recipes.pieces import compare_pieces, in_pieces, is_cut
from export.tokens import train_review_tokenizer
from model_zoo.catalog import Catalog
from model_zoo.manifest import TextInput
from service.runtime.forward import TextForward
from service.runtime.reading import TextReader
from tests.export.tiny_networks import TEXTS, text_network
from tests.model_zoo.samples import PROVENANCE

ITEMS = ["a good film", "bad", "the film was not good, it was bad and very long", "good " * 9]
STORY = Story("test")


def reviews(kind: TextKind = "lstm") -> Candidate:
    fp32 = text_graph(text_network(kind))
    tokenizer = train_review_tokenizer(ITEMS, TEXTS.vocabulary)
    return draft(
        {"fp32": {"model": fp32}, "int8": {"model": quantize_text(fp32)}},
        {"tokenizer.json": tokenizer.to_str().encode()},
        name="reviews",
        version=1,
        task="text-classification",
        description="for tests",
        labels=("negative", "neutral", "positive"),
        preprocessing=TextInput(max_tokens=16, pad_id=0),
        provenance=PROVENANCE,
    )


def test_the_variant_in_bytes_is_cut_and_published_with_both_graphs(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    candidate = in_pieces(reviews(), ITEMS, STORY)
    assert [is_cut(candidate, precision) for precision in ("fp32", "int8")] == [False, True]
    assert isinstance(candidate.open("int8").runner, TextReader)
    assert isinstance(candidate.open("int8", in_one_piece=True).runner, TextForward)
    catalog = Catalog(tmp_path_factory.mktemp("models"))
    candidate.publish(catalog, {})
    published = catalog.open("reviews")
    published.verify()
    files = {graph.role: graph.file for graph in published.manifest.variant("int8").graphs}
    assert files == {
        "model": "model_int8.onnx",
        "reader": "reader_model_int8.onnx",
        "head": "head_model_int8.onnx",
    }
    assert [graph.role for graph in published.manifest.variant("fp32").graphs] == ["model"]


def test_a_network_that_cannot_be_cut_stays_as_it_is() -> None:
    candidate = reviews("gru")
    assert in_pieces(candidate, ITEMS, STORY).graphs == candidate.graphs


def test_both_ways_answer_alike() -> None:
    found = compare_pieces(in_pieces(reviews(), ITEMS, STORY), "int8", ITEMS)
    assert found.max_abs < 1e-5
    assert found.items == len(ITEMS)


def test_a_reader_of_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(model: onnx.ModelProto) -> dict[str, onnx.ModelProto] | None:
        graphs = reading_graphs(model)
        if graphs is not None:
            for tensor in graphs["reader"].graph.initializer:
                if tensor.name.startswith("lstm.weight_scale"):
                    half = numpy_helper.to_array(tensor) * np.float32(0.5)
                    tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
        return graphs

    monkeypatch.setattr(pieces, "reading_graphs", spoilt)
    with pytest.raises(PiecesFailed, match="int8: reader and head against the whole graph on 4"):
        in_pieces(reviews(), ITEMS, STORY)

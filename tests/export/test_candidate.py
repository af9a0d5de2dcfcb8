import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from export.candidate import Candidate, answer_of, draft, graph_file, without_variant
from export.convert.text_graph import text_graph
from export.convert.transformer_graphs import transformer_graphs
from export.quantize.text import quantize_text
from export.tokens import train_review_tokenizer
from model_zoo.catalog import Catalog
from model_zoo.errors import AlreadyPublished, FileMismatch
from model_zoo.manifest import (
    Evidence,
    Invariance,
    Measurement,
    Parity,
    Precision,
    Role,
    TensorSpec,
    TextInput,
)
from service.errors import InvalidInput
from service.runtime.runner import make_runner
from service.runtime.slots import Generated
from service.tasks.base import TranslationText
from service.tasks.registry import make_task
from tests.export.tiny_networks import SPEC, TEXTS, text_network, transformer
from tests.model_zoo.samples import IMAGE, PROVENANCE
from tests.tiny_zoo import cnn_graph, letter_tokenizer

REVIEWS = ["a good film", "bad", "the film was not good, it was bad and very long", "good " * 9]
LABELS = ("negative", "neutral", "positive")
EVIDENCE = Evidence(
    parity=Parity(max_abs_diff=0.5, tolerance=1.0, items=3, agreement=1.0),
    invariance=Invariance(max_abs_diff=0, tolerance=1.0, items=3, agreement=1.0, sizes=(2,)),
    accuracy=(Measurement(dataset="d", split="test", metric="accuracy", value=0.9, items=3),),
)


@pytest.fixture(scope="module")
def reviews() -> Candidate:
    tokenizer = train_review_tokenizer(REVIEWS, TEXTS.vocabulary)
    fp32 = text_graph(text_network())
    return draft(
        {"fp32": {"model": fp32}, "int8": {"model": quantize_text(fp32)}},
        {"tokenizer.json": tokenizer.to_str().encode(), "config.json": b"{}"},
        name="reviews",
        version=1,
        task="text-classification",
        description="for tests",
        labels=LABELS,
        preprocessing=TextInput(max_tokens=16, pad_id=0),
        provenance=PROVENANCE,
    )


@pytest.fixture(scope="module")
def translator() -> Candidate:
    graphs = transformer_graphs(transformer())
    return draft(
        {"fp32": {"encoder": graphs.encoder, "decoder": graphs.decoder}},
        {"tokenizer.json": letter_tokenizer(SPEC.vocabulary)},
        name="en-de",
        version=1,
        task="translation",
        description="for tests",
        preprocessing=SPEC,
        provenance=PROVENANCE,
    )


def test_the_manifest_names_the_tensors_as_the_graphs_have_them(
    reviews: Candidate, translator: Candidate
) -> None:
    ids = TensorSpec(name="input_ids", dtype="int64", shape=("batch", "sequence"))
    logits = TensorSpec(name="logits", dtype="float32", shape=("batch", TEXTS.classes))
    assert reviews.manifest.inputs[0] == ids
    assert reviews.manifest.outputs == (logits,)
    assert [tensor.name for tensor in translator.manifest.inputs] == [
        "input_ids",
        "position_ids",
        "segment_ids",
    ]
    assert "next_ids" in [tensor.name for tensor in translator.manifest.outputs]


def test_variants_have_file_names_that_others_know(
    reviews: Candidate, translator: Candidate
) -> None:
    files = {v.precision: [graph.file for graph in v.graphs] for v in reviews.manifest.variants}
    assert files == {"fp32": ["model.onnx"], "int8": ["model_int8.onnx"]}
    (only,) = translator.manifest.variants
    assert [graph.file for graph in only.graphs] == ["encoder_model.onnx", "decoder_model.onnx"]
    assert graph_file("decoder", "int8") == "decoder_model_int8.onnx"


def test_a_published_model_answers_as_the_candidate_did(reviews: Candidate, tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    folder = reviews.publish(catalog, {"README.md": b"# card"})
    assert Path(folder) == tmp_path / "reviews" / "1"
    published = catalog.open("reviews")
    published.verify()
    task = make_task(published.manifest, published.read)
    for variant in published.manifest.variants:
        (graph,) = variant.graphs
        runner = make_runner(published.manifest, {graph.role: published.read(graph.file)})
        features = [task.preprocess(text) for text in REVIEWS]
        expected = reviews.open(variant.precision)
        np.testing.assert_array_equal(
            runner.run(features), expected.runner.run(expected.features(REVIEWS))
        )


def test_evidence_and_further_files_are_published_with_the_model(
    reviews: Candidate, tmp_path: Path
) -> None:
    candidate = Candidate(reviews.manifest, reviews.graphs, reviews.files, {"int8": EVIDENCE})
    candidate.publish(Catalog(tmp_path), {"README.md": b"# card", "curves.png": b"png"})
    published = Catalog(tmp_path).open("reviews", 1)
    assert published.manifest.variant("int8").evidence == EVIDENCE
    assert published.manifest.variant("fp32").evidence == Evidence()
    assert {"README.md", "curves.png", "tokenizer.json"} <= published.manifest.artefacts().keys()
    assert published.read("curves.png") == b"png"


def test_a_version_is_published_once(reviews: Candidate, tmp_path: Path) -> None:
    reviews.publish(Catalog(tmp_path), {})
    with pytest.raises(AlreadyPublished):
        reviews.publish(Catalog(tmp_path), {})


def test_a_graph_that_was_changed_after_the_draft_is_refused(
    reviews: Candidate, tmp_path: Path
) -> None:
    changed = onnx.load_from_string(reviews.graphs["fp32"]["model"])
    changed.doc_string = "not what the gates saw"
    graphs: dict[Precision, dict[Role, bytes]] = {
        "fp32": {"model": changed.SerializeToString()},
        "int8": dict(reviews.graphs["int8"]),
    }
    with pytest.raises(FileMismatch, match=r"model\.onnx"):
        Candidate(reviews.manifest, graphs, reviews.files).publish(Catalog(tmp_path), {})
    assert not (tmp_path / "reviews").exists()


def test_a_graph_that_was_changed_on_disk_is_refused(reviews: Candidate, tmp_path: Path) -> None:
    file = Path(reviews.publish(Catalog(tmp_path), {})) / "model_int8.onnx"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(FileMismatch, match=r"model_int8\.onnx"):
        Catalog(tmp_path).open("reviews").read("model_int8.onnx")


def test_rows_come_in_the_order_of_the_items_whatever_shares_a_batch(reviews: Candidate) -> None:
    opened = reviews.open("fp32")
    features = opened.features(REVIEWS)
    alone = [opened.runner.run([feature])[0] for feature in features]
    for batch in (1, 2, 3, 32):
        np.testing.assert_allclose(opened.rows(features, batch), alone, rtol=1e-5, atol=1e-6)


def test_predictions_are_those_of_the_serving_task(reviews: Candidate) -> None:
    predictions = reviews.open("fp32").predict(REVIEWS)
    assert len(predictions) == len(REVIEWS)
    for prediction in predictions:
        assert prediction.label in LABELS
        assert sum(prediction.scores.values()) == pytest.approx(1)


def test_an_item_without_content_is_refused_as_by_the_service(reviews: Candidate) -> None:
    with pytest.raises(InvalidInput):
        reviews.open("fp32").predict(["  "])


def test_a_text_of_several_sentences_is_joined_again(translator: Candidate) -> None:
    opened = translator.open("fp32")
    texts = [TranslationText(t) for t in ("One cat.\n\nTwo cats!", "", "...", "Three cats.")]
    long, empty, dots, short = opened.predict(texts)
    assert (empty.text, dots.text) == ("", "...")
    assert long.text.count("\n\n") == 1
    alone = opened.predict([texts[3]])[0]
    assert (short.text, short.tokens) == (alone.text, alone.tokens)
    assert short.score == pytest.approx(alone.score, abs=1e-5)


def test_a_variant_can_be_left_out(reviews: Candidate, tmp_path: Path) -> None:
    lean = without_variant(reviews, "int8")
    assert [variant.precision for variant in lean.manifest.variants] == ["fp32"]
    folder = Path(lean.publish(Catalog(tmp_path), {}))
    assert not (folder / "model_int8.onnx").exists()


def test_a_photo_larger_than_a_stranger_may_send_is_judged_all_the_same() -> None:
    photo = io.BytesIO()
    Image.new("L", (6000, 5000), 128).save(photo, "JPEG")
    candidate = draft(
        {"fp32": {"model": onnx.load_from_string(cnn_graph())}},
        {},
        name="photos",
        version=1,
        task="image-classification",
        description="for tests",
        labels=("red", "green", "blue"),
        preprocessing=IMAGE,
        provenance=PROVENANCE,
    )
    assert len(candidate.open("fp32").predict([photo.getvalue()])) == 1


def test_an_answer_holds_probabilities_and_the_class() -> None:
    found = answer_of(np.array([1000.0, 999.0, -1000.0], np.float32))
    assert found.choice == (0,)
    assert found.values.sum() == pytest.approx(1)
    assert found.values[0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_an_answer_of_a_translation_holds_its_score_and_tokens() -> None:
    found = answer_of(Generated([5, 6], -0.5, True))
    assert (found.values.tolist(), found.choice) == ([-0.5], (5, 6))


def test_logits_that_are_not_finite_stay_so() -> None:
    assert not np.isfinite(answer_of(np.array([0.0, np.nan])).values).all()

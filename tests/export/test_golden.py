import json

import numpy as np
import onnx
import pytest

from export.candidate import draft, of_published
from export.golden import drawings, with_self_test
from model_zoo.catalog import Catalog
from model_zoo.golden import GOLDEN_FILE, parse_golden
from service.tasks.golden import deviation, golden_features
from tests import tiny_zoo
from tests.model_zoo.samples import PROVENANCE
from tests.tasks.samples import image_input


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_zoo.build(tmp_path_factory.mktemp("zoo"))


@pytest.mark.parametrize("name", [tiny_zoo.IMAGES, tiny_zoo.TEXTS, tiny_zoo.TRANSLATOR])
def test_every_kind_of_model_gets_a_self_test_that_it_passes(published: Catalog, name: str) -> None:
    made = with_self_test(of_published(published.open(name)))
    golden = parse_golden(made.files[GOLDEN_FILE], GOLDEN_FILE)
    assert len(golden.items) == 8
    promised = made.manifest.variant("fp32").self_test
    assert promised is not None
    assert (promised.file, promised.items) == (GOLDEN_FILE, 8)
    opened = made.open("fp32")
    features = golden_features(golden, made.manifest, opened.task)
    found = deviation(golden.rows["fp32"], opened.runner.run(features))
    assert found.max_abs_diff <= promised.tolerance / 10
    assert found.agreement == 1.0


def test_the_file_is_listed_when_it_is_published(
    published: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = with_self_test(of_published(published.open(tiny_zoo.TEXTS)))
    catalog = Catalog(tmp_path_factory.mktemp("again"))
    made.publish(catalog, {})
    again = catalog.open(tiny_zoo.TEXTS)
    again.verify()
    assert json.loads(again.read(GOLDEN_FILE))["kind"] == "text"


def test_items_are_the_same_every_time(published: Catalog) -> None:
    first, second = (with_self_test(of_published(published.open(tiny_zoo.IMAGES))) for _ in "ab")
    assert first.files[GOLDEN_FILE] == second.files[GOLDEN_FILE]
    assert len(set(drawings(24))) == 24


def test_items_on_which_the_variants_disagree_are_left_out() -> None:
    """int8 gives the opposite answer where blue is strong: no such drawing may be golden."""
    graph = tiny_zoo.cnn_graph()
    model = onnx.load_from_string(graph)
    swapped = onnx.load_from_string(graph)
    order = onnx.numpy_helper.from_array(np.array([0, 2, 1]), "order")
    for node in swapped.graph.node:
        node.output[:] = ["before" if found == "logits" else found for found in node.output]
    swapped.graph.initializer.append(order)
    swapped.graph.node.append(
        onnx.helper.make_node("Gather", ["before", "order"], ["logits"], axis=1)
    )
    made = draft(
        {"fp32": {"model": model}, "int8": {"model": swapped}},
        {},
        name="x",
        version=1,
        task="image-classification",
        description="for tests",
        labels=tiny_zoo.LABELS,
        preprocessing=image_input(tiny_zoo.SIDE, tiny_zoo.SIDE),
        provenance=PROVENANCE,
    )
    golden = parse_golden(with_self_test(made).files[GOLDEN_FILE], GOLDEN_FILE)
    same = [
        np.argmax(a.logits) == np.argmax(b.logits)
        for a, b in zip(golden.rows["fp32"], golden.rows["int8"], strict=True)
    ]
    assert sum(same) >= 6

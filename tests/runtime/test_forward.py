"""Images and texts in, one row an item out, on the CPU."""

import threading
from typing import Any

import numpy as np
import pytest

from model_zoo.manifest import TensorSpec
from service.errors import Cancelled, InferenceFailed, InvalidInput
from service.runtime.collate import pad_ids
from service.runtime.errors import GraphMismatch
from service.runtime.forward import split_rows
from service.runtime.runner import make_runner
from service.runtime.session import Abort, open_session
from tests.runtime import forward_checks
from tests.runtime.forward_checks import CASES, open_case
from tests.runtime.tiny_models import Text, image_graph, image_manifest, text_graph, text_manifest

every_kind = pytest.mark.parametrize("kind", CASES)


@every_kind
def test_an_item_alone_is_the_same_as_in_a_batch(kind: str) -> None:
    forward_checks.check_alone_is_in_a_batch(kind, "cpu")


@every_kind
def test_rows_are_float32_one_an_item(kind: str) -> None:
    forward_checks.check_rows_are_those_of_the_cpu(kind, "cpu")


def test_both_lstm_graphs_are_the_same_function() -> None:
    texts = CASES["text"][2]
    rows = open_case("portable text", "cpu").run(texts)
    np.testing.assert_allclose(rows, open_case("text", "cpu").run(texts), atol=1e-5)


def test_rows_are_what_the_graph_itself_gives() -> None:
    _, _, texts = CASES["text"]
    ids, mask = pad_ids([text.ids for text in texts], pad_id=0)
    found = open_session(text_graph()).run({"input_ids": ids, "attention_mask": mask})
    np.testing.assert_array_equal(open_case("text", "cpu").run(texts), found["logits"])


@every_kind
def test_threads_share_a_runner(kind: str) -> None:
    runner, features = open_case(kind, "cpu"), CASES[kind][2]
    expected = [runner.run([one])[0] for one in features]
    found: dict[int, Any] = {}

    def work(n: int) -> None:
        found[n] = [runner.run([features[n]])[0] for _ in range(10)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(features))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, rows in found.items():
        np.testing.assert_array_equal(rows, [expected[n]] * 10)


@pytest.mark.parametrize(
    ("kind", "bad", "message"),
    [
        ("image", np.zeros((3, 8, 9), np.float32), r"shape \(3, 8, 9\); the model takes \(3, 8, 8"),
        ("image", np.zeros((1, 3, 8, 8), np.float32), "shape"),
        ("text", Text(np.array([], np.int64)), "0 tokens"),
        ("text", Text(np.array([1, -1])), "outside the vocabulary"),
        ("text", Text(np.ones(17, np.int64)), "17 tokens; the model takes 1 to 16"),
    ],
)
def test_a_bad_item_is_refused_before_it_reaches_the_graph(
    kind: str, bad: Any, message: str
) -> None:
    runner = open_case(kind, "cpu")
    with pytest.raises(InvalidInput, match=message):
        runner.check(bad)
    with pytest.raises(InvalidInput, match=message):
        runner.run([*CASES[kind][2], bad])


@every_kind
def test_an_abort_reaches_the_graph(kind: str) -> None:
    abort = Abort()
    abort.set()
    with pytest.raises(Cancelled):
        open_case(kind, "cpu").run(CASES[kind][2], abort)


def test_rows_that_are_missing_are_a_failure() -> None:
    with pytest.raises(InferenceFailed, match="2 rows for 3 items"):
        split_rows(np.zeros((2, 4)), 3)


def test_a_graph_of_another_model_is_refused_by_name() -> None:
    with pytest.raises(GraphMismatch, match=r"^words/1: model graph: input 'input_ids' is missing"):
        make_runner(text_manifest(), {"model": image_graph()})
    with pytest.raises(
        GraphMismatch, match=r"^tiny/1: model graph: output 'y' is missing .*scores"
    ):
        make_runner(image_manifest(), {"model": image_graph("scores")})


def test_inputs_that_nothing_would_feed_are_refused() -> None:
    x = image_manifest().inputs[0]
    spec = TensorSpec(name="size", dtype="int64", shape=("batch",))
    two = image_manifest().model_copy(update={"inputs": (x, spec)})
    with pytest.raises(GraphMismatch, match="input 'size' is missing"):
        make_runner(two, {"model": image_graph()})
    wrong = text_manifest().model_copy(update={"inputs": (x,), "outputs": image_manifest().outputs})
    with pytest.raises(GraphMismatch, match=r"takes input_ids and attention_mask, not \['x'\]"):
        make_runner(wrong, {"model": image_graph()})

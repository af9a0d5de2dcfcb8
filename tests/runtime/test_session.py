"""One graph, opened, checked, run, bound and stopped, with real ONNX Runtime."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from service.errors import Cancelled, InferenceFailed
from service.runtime.errors import GraphMismatch, ProviderUnavailable
from service.runtime.session import Abort, open_session, usable_providers
from service.runtime.signature import Signature, TensorType
from tests.runtime.graphs import GraphBuilder
from tests.runtime.tiny_models import endless_graph, image_graph

ROOT = Path(__file__).parents[2]
X = TensorType("x", "float32", ("batch", 3, 8, 8))
Y = TensorType("y", "float32", ("batch", 2))


def double_graph() -> bytes:
    g = GraphBuilder()
    g.input("x", "float32", ["batch", 3])
    g.output("y", "float32", ["batch", 3])
    g.output("z", "float32", ["batch", 3])
    g.op_to("y", "Mul", "x", g.constant(2.0))
    g.op_to("z", "Neg", "x")
    return g.serialize()


def test_a_run_gives_the_outputs_by_name_all_or_those_asked_for() -> None:
    session = open_session(double_graph())
    x = np.ones((2, 3), np.float32)
    found = session.run({"x": x})
    np.testing.assert_array_equal(found["y"], 2 * x)
    np.testing.assert_array_equal(found["z"], -x)
    assert list(session.run({"x": x}, ["z"])) == ["z"]


def test_every_node_is_counted_for_the_provider_that_runs_it() -> None:
    session = open_session(double_graph())
    assert session.placement == {"CPUExecutionProvider": 2}


def test_bound_memory_is_read_and_written_in_place() -> None:
    session = open_session(double_graph())
    x, y = np.ones((4, 3), np.float32), np.zeros((4, 3), np.float32)
    binding = session.bind({"x": x[:2]}, {"y": y[:2]})
    session.run_bound(binding)
    x[:] = 5
    session.run_bound(binding)
    np.testing.assert_array_equal(y, [[10] * 3, [10] * 3, [0] * 3, [0] * 3])


def test_an_output_may_be_the_memory_of_an_input() -> None:
    session = open_session(double_graph())
    x = np.ones((2, 3), np.float32)
    binding = session.bind({"x": x}, {"y": x})
    session.run_bound(binding)
    session.run_bound(binding)
    np.testing.assert_array_equal(x, np.full((2, 3), 4))


def test_memory_with_gaps_cannot_be_bound() -> None:
    session = open_session(double_graph())
    with pytest.raises(ValueError, match="x: only contiguous memory"):
        session.bind({"x": np.ones((2, 6), np.float32)[:, ::2]}, {})


def test_several_threads_share_one_session() -> None:
    session = open_session(image_graph())
    random = np.random.default_rng(0)
    batches = [random.normal(size=(4, 3, 8, 8)).astype(np.float32) for _ in range(4)]
    expected = [session.run({"x": x})["y"] for x in batches]
    found: dict[int, list[bool]] = {}

    def work(n: int) -> None:
        runs = [session.run({"x": batches[n]})["y"] for _ in range(20)]
        found[n] = [bool(np.array_equal(run, expected[n])) for run in runs]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: [True] * 20 for n in range(4)}


def test_an_abort_stops_a_run_that_is_going_on() -> None:
    session = open_session(endless_graph())
    abort = Abort()
    raised: list[Exception] = []

    def work() -> None:
        try:
            session.run({"x": np.zeros(1, np.float32)}, abort=abort)
        except Cancelled as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    abort.set()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert len(raised) == 1


def test_a_set_abort_refuses_bound_runs_too() -> None:
    session = open_session(double_graph())
    x = np.ones((1, 3), np.float32)
    abort = Abort()
    abort.set()
    with pytest.raises(Cancelled):
        session.run_bound(session.bind({"x": x}, {"y": x}), abort)
    np.testing.assert_array_equal(session.run({"x": x}, ["y"])["y"], 2 * x)


def test_what_the_runtime_refuses_is_an_inference_failure_with_a_safe_message() -> None:
    session = open_session(double_graph())
    with pytest.raises(InferenceFailed) as caught:
        session.run({"x": np.ones((1, 4), np.float32)})
    assert "index" not in caught.value.detail
    assert "index: 1 Got: 4 Expected: 3" in str(caught.value.__cause__)


@pytest.mark.parametrize("graph", [b"", b"no graph", image_graph()[:200]])
def test_bytes_that_are_no_graph_are_refused(graph: bytes) -> None:
    with pytest.raises(GraphMismatch, match="cannot open the graph"):
        open_session(graph)


def test_a_session_does_not_keep_the_bytes_it_was_opened_from() -> None:
    graph = image_graph()
    before = sys.getrefcount(graph)
    session = open_session(graph)
    assert sys.getrefcount(graph) == before
    assert session.placement


def test_a_graph_that_keeps_its_promise_is_accepted() -> None:
    open_session(image_graph()).expect(Signature("model", (X,), (Y,)))


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([TensorType("pixels", "float32", X.shape)], [Y], r"input 'pixels' is missing .*has x"),
        ([TensorType("pixels", "float32", X.shape)], [Y], r"input 'x' is not promised"),
        ([TensorType("x", "int64", X.shape)], [Y], r"promised is int64\[batch, 3, 8, 8\]"),
        ([TensorType("x", "float32", ("batch", 3, 9, 9))], [Y], r"'x' is float32\[batch, 3, 8, 8"),
        ([TensorType("x", "float32", ("batch", 3, 8))], [Y], "input 'x'"),
        ([TensorType("x", "float32", ("batch", 3, "height", 8))], [Y], "input 'x'"),
        ([X], [TensorType("logits", "float32", Y.shape)], "output 'logits' is missing"),
        ([X], [TensorType("y", "float32", ("batch", 10))], r"promised is float32\[batch, 10\]"),
    ],
)
def test_a_broken_promise_is_named(
    inputs: list[TensorType], outputs: list[TensorType], message: str
) -> None:
    session = open_session(image_graph())
    with pytest.raises(GraphMismatch, match=f"^model graph: .*{message}"):
        session.expect(Signature("model", tuple(inputs), tuple(outputs)))


def test_the_cpu_is_always_usable() -> None:
    assert "cpu" in usable_providers()


@pytest.mark.skipif("cuda" in usable_providers(), reason="CUDA works here")
def test_a_provider_that_does_not_run_here_leaves_the_graph_to_the_cpu_and_shows_it() -> None:
    session = open_session(double_graph(), providers=["cuda", "cpu"])
    assert session.placement == {"CPUExecutionProvider": 2}


@pytest.mark.skipif("cuda" in usable_providers(), reason="CUDA works here")
def test_strictly_asked_a_provider_that_does_not_run_here_is_an_error() -> None:
    with pytest.raises(ProviderUnavailable, match="cuda does not run here"):
        open_session(double_graph(), providers=["cuda", "cpu"], strict=True)


def test_the_runtime_writes_nothing_to_the_terminal() -> None:
    code = """
import numpy as np
from service.errors import InferenceFailed
from service.runtime.session import open_session
from tests.runtime.test_session import double_graph
session = open_session(double_graph(), providers=["tensorrt", "cuda", "cpu"])
try:
    session.run({"x": np.ones((1, 4), np.float32)})
except InferenceFailed:
    pass
try:
    open_session(b"no graph")
except Exception:
    pass
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")

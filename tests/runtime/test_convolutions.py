"""Int8 convolutions written anew for AMX tiles: which ones, and that no number changes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from service.runtime import runner as runner_module
from service.runtime.convolutions import for_tiles
from service.runtime.runner import make_runner
from service.runtime.session import open_session
from tests.runtime.graphs import Array, GraphBuilder
from tests.runtime.tiny_models import image_graph, image_manifest, images

DEEP, SHALLOW = 64, 16  # channels; with kernels of 3 x 3, sums of 576 and 144 products
SIDE = 6
# Without VNNI two products are added in 16 bits: 2 * 255 * 64 is the most that two may have.
LEAST, MOST = -63, 64


class Quantized(GraphBuilder):
    """Bytes in, bytes out, and convolutions between them in either of the two usual forms."""

    def __init__(self, channels: int = DEEP) -> None:
        super().__init__()
        self.last = self.input("x", "uint8", ["batch", channels, SIDE, SIDE])
        self.channels = channels
        self.random = np.random.default_rng(0)
        self.scale = self.constant(0.02)
        self.middle = self.constant(128, np.uint8)

    def weights(self, *, groups: int = 1, least: int = LEAST) -> str:
        shape = (self.channels, self.channels // groups, 3, 3)
        values = self.random.integers(LEAST, MOST + 1, shape)
        values.flat[0] = least
        return self.constant(values, np.int8)

    def zeros(self, value: int = 0) -> str:
        return self.written_out([value] * self.channels, np.int8)

    def scales(self) -> str:
        return self.constant(self.random.uniform(0.001, 0.01, self.channels))

    def quantized(self, weights: str, zero: str, **attributes: Any) -> None:
        inputs = (self.last, self.scale, self.middle, weights, self.scales(), zero)
        attributes = {"pads": [1, 1, 1, 1], **attributes}
        self.last = self.op("QLinearConv", *inputs, self.scale, self.middle, **attributes)

    def between(self, weights: str, *zero: str, **attributes: Any) -> str:
        """A convolution of floats between the operators that quantize; the name of its weights."""
        x = self.op("DequantizeLinear", self.last, self.scale, self.middle)
        w = self.op("DequantizeLinear", weights, self.scales(), *zero, axis=0)
        y = self.op("Conv", x, w, pads=[1, 1, 1, 1], **attributes)
        self.last = self.op("QuantizeLinear", y, self.scale, self.middle)
        return w

    def bytes(self) -> bytes:
        self.output("y", "uint8", ["batch", self.channels, SIDE, SIDE])
        self.op_to("y", "Identity", self.last)
        return self.serialize()


def run(graph: bytes, channels: int = DEEP) -> Array:
    random = np.random.default_rng(1)
    x_NCHW = random.integers(0, 256, (3, channels, SIDE, SIDE), np.uint8)
    return open_session(graph).run({"x": x_NCHW})["y"]


def constants(graph: bytes) -> Mapping[str, Array]:
    initial = onnx.load_from_string(graph).graph.initializer
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in initial}


def changed(before: bytes, after: bytes) -> set[str]:
    """The constants that are one less; none may be another value."""
    old, new = constants(before), constants(after)
    assert list(old) == list(new)
    assert all(old[name].dtype == new[name].dtype for name in old)
    differences = {name: np.unique(old[name].astype(float) - new[name]).tolist() for name in old}
    assert all(found in ([0.0], [1.0]) for found in differences.values())
    return {name for name, found in differences.items() if found == [1.0]}


def form_of(graph: Quantized, form: str) -> set[str]:
    weights, zero = graph.weights(), graph.zeros()
    (graph.quantized if form == "quantized" else graph.between)(weights, zero)
    return {weights, zero}


@pytest.mark.parametrize("form", ["quantized", "between"])
def test_a_deep_convolution_loses_one_in_weights_and_zero_point_and_says_the_same(
    form: str,
) -> None:
    graph = Quantized()
    names = form_of(graph, form) | form_of(graph, form)
    before = graph.bytes()
    after = for_tiles(before)
    assert changed(before, after) == names
    assert len(np.unique(run(before))) > 100
    np.testing.assert_array_equal(run(before), run(after))
    onnx.checker.check_model(onnx.load_from_string(after), full_check=True)


def test_all_else_in_the_file_stays_as_it_is() -> None:
    graph = Quantized()
    form_of(graph, "between")
    before = onnx.load_from_string(graph.bytes())
    before.producer_name, before.model_version = "somebody", 300
    before.metadata_props.add(key="a", value="b" * 200)
    after = onnx.load_from_string(for_tiles(before.SerializeToString()))
    for model in (before, after):
        del model.graph.initializer[:]
    assert after == before


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_zero_point_may_be_written_in_either_way_and_be_one_for_all(
    raw: bool, per_channel: bool
) -> None:
    graph = Quantized()
    zeros: Any = [0] * DEEP if per_channel else 0
    zero = (graph.constant if raw else graph.written_out)(zeros, np.int8)
    weights = graph.weights()
    scales = graph.scales() if per_channel else graph.scale
    inputs = (graph.last, graph.scale, graph.middle, weights, scales, zero)
    graph.last = graph.op("QLinearConv", *inputs, graph.scale, graph.middle, pads=[1, 1, 1, 1])
    before = graph.bytes()
    assert changed(before, for_tiles(before)) == {weights, zero}
    np.testing.assert_array_equal(run(before), run(for_tiles(before)))


def shallow() -> Quantized:
    graph = Quantized(SHALLOW)
    graph.quantized(graph.weights(), graph.zeros())
    return graph


def in_groups(form: str) -> Quantized:
    graph = Quantized(4 * DEEP)
    convolve = graph.quantized if form == "quantized" else graph.between
    convolve(graph.weights(groups=2), graph.zeros(), group=2)
    return graph


def with_the_least_number() -> Quantized:
    graph = Quantized()
    graph.quantized(graph.weights(least=-128), graph.zeros())
    return graph


def with_a_zero_point() -> Quantized:
    graph = Quantized()
    graph.quantized(graph.weights(), graph.zeros(-1))
    return graph


def with_a_zero_point_in_bytes() -> Quantized:
    graph = Quantized()
    graph.quantized(graph.weights(), graph.constant([3] * DEEP, np.int8))
    return graph


def with_weights_above_zero() -> Quantized:
    graph = Quantized()
    values = graph.random.integers(1, MOST + 1, (DEEP, DEEP, 3, 3))
    graph.quantized(graph.constant(values, np.uint8), graph.constant([0] * DEEP, np.uint8))
    return graph


def without_a_zero_point() -> Quantized:
    graph = Quantized()
    graph.between(graph.weights())
    return graph


def with_weights_of_two() -> Quantized:
    graph = Quantized()
    weights = graph.weights()
    graph.quantized(weights, graph.zeros())
    graph.quantized(weights, graph.zeros())
    return graph


def with_a_zero_point_of_two() -> Quantized:
    graph = Quantized()
    zero = graph.zeros()
    graph.quantized(graph.weights(), zero)
    graph.quantized(graph.weights(), zero)
    return graph


def with_scaled_weights_of_two() -> Quantized:
    graph = Quantized()
    scaled = graph.between(graph.weights(), graph.zeros())
    x = graph.op("DequantizeLinear", graph.last, graph.scale, graph.middle)
    y = graph.op("Conv", x, scaled, pads=[1, 1, 1, 1])
    graph.last = graph.op("QuantizeLinear", y, graph.scale, graph.middle)
    return graph


def with_weights_that_are_told() -> Quantized:
    graph = Quantized()
    weights = graph.weights()
    graph.quantized(weights, graph.zeros())
    graph.output(weights, "int8", [DEEP, DEEP, 3, 3])
    return graph


def with_a_branch() -> Quantized:
    graph = Quantized()
    graph.quantized(graph.weights(), graph.zeros())
    one = onnx.helper.make_node("Identity", [graph.last], ["either"])
    value = onnx.helper.make_tensor_value_info("either", onnx.TensorProto.UINT8, None)
    branch = onnx.helper.make_graph([one], "branch", [], [value])
    whether = graph.constant(True, np.bool_)
    graph.last = graph.op("If", whether, then_branch=branch, else_branch=branch)
    return graph


OTHERS = {
    "shallow": shallow(),
    "in groups, quantized": in_groups("quantized"),
    "in groups, between": in_groups("between"),
    "with the least number": with_the_least_number(),
    "with a zero point": with_a_zero_point(),
    "with a zero point in bytes": with_a_zero_point_in_bytes(),
    "with weights above zero": with_weights_above_zero(),
    "without a zero point": without_a_zero_point(),
    "with weights of two": with_weights_of_two(),
    "with a zero point of two": with_a_zero_point_of_two(),
    "with scaled weights of two": with_scaled_weights_of_two(),
    "with weights that are told": with_weights_that_are_told(),
    "with a branch": with_a_branch(),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_graphs_are_handed_back(case: str) -> None:
    graph = OTHERS[case].bytes()
    assert for_tiles(graph) is graph
    run(graph, OTHERS[case].channels)  # and it is one that runs


def test_a_deep_one_beside_others_is_changed_alone() -> None:
    graph = Quantized()
    graph.quantized(graph.weights(least=-128), graph.zeros())
    graph.quantized(graph.weights(), graph.zeros(-1))
    graph.between(graph.weights())
    names = form_of(graph, "quantized")
    before = graph.bytes()
    assert changed(before, for_tiles(before)) == names


def test_graphs_among_the_attributes_may_use_any_name() -> None:
    graph = Quantized()
    form_of(graph, "quantized")
    model = onnx.load_from_string(graph.bytes())
    model.graph.node[0].attribute.add(name="some", graphs=[model.graph])
    unusual = model.SerializeToString()
    assert for_tiles(unusual) is unusual


@pytest.mark.parametrize("inputs", [1, 4])
@pytest.mark.parametrize("operator", ["Conv", "QLinearConv"])
def test_a_convolution_without_its_inputs_is_left_to_onnx_runtime(
    operator: str, inputs: int
) -> None:
    graph = Quantized()
    form_of(graph, "quantized")
    graph.op(operator, *[graph.last] * inputs)
    broken = graph.bytes()
    assert (for_tiles(broken) is broken) == (operator == "QLinearConv" or inputs == 1)


def test_a_graph_in_two_parts_is_handed_back() -> None:
    graph = Quantized()
    form_of(graph, "quantized")
    parted = graph.bytes() + b"\x3a\x00"
    assert for_tiles(parted) is parted


@pytest.mark.parametrize(
    "cut",
    [b"", b"nothing", b"\x3a\x7f", b"\x38\x01", b"\x3a\x02\x0a\x05", b"\x3a\x00\x3a\x00"],
)
def test_what_is_no_graph_is_handed_back(cut: bytes) -> None:
    assert for_tiles(cut) is cut


def test_pieces_of_a_graph_are_handed_back() -> None:
    graph = Quantized()
    form_of(graph, "between")
    whole = graph.bytes()
    for size in range(0, len(whole), 997):
        piece = whole[:size]
        assert for_tiles(piece) is piece


@pytest.mark.parametrize(
    ("features", "providers", "is_changed"),
    [
        (["vnni", "amx"], ["cpu"], True),
        (["vnni"], ["cpu"], False),
        ([], ["cpu"], False),
        (["amx"], ["cuda", "cpu"], False),
    ],
)
def test_an_image_model_is_opened_for_the_tiles_that_are_there(
    monkeypatch: pytest.MonkeyPatch,
    features: Sequence[str],
    providers: Sequence[Any],
    is_changed: bool,
) -> None:
    asked: list[bytes] = []

    def marked(graph: bytes) -> bytes:
        asked.append(graph)
        return image_graph()

    monkeypatch.setattr(runner_module, "for_tiles", marked)
    graph = image_graph()
    made = make_runner(image_manifest(), {"model": graph}, providers=providers, features=features)
    assert asked == [graph] * is_changed
    assert len(made.run(images(2))) == 2

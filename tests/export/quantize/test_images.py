import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from export.convert.image_graph import image_graph
from export.convert.resnet_graph import resnet_graph
from export.quantize.images import METHODS, quantize_images
from service.runtime.session import open_session
from tests.export.tiny_networks import SIDE, Floats, images, mlp, resnet

pytestmark = pytest.mark.timeout(300)  # torch's exporter and the quantizer take their time


@pytest.fixture(scope="module")
def fp32() -> onnx.ModelProto:
    return resnet_graph(resnet(), SIDE, SIDE)


@pytest.fixture(scope="module", params=["minmax", "percentile"])
def int8(fp32: onnx.ModelProto, request: pytest.FixtureRequest) -> onnx.ModelProto:
    return quantize_images(fp32, images(40, seed=5).numpy(), request.param, batch=20)


def run(graph: onnx.ModelProto, batch: Floats) -> Floats:
    return open_session(graph.SerializeToString()).run({"pixel_values": batch})["logits"]


def constants(graph: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}


def test_logits_stay_close_to_those_of_fp32(fp32: onnx.ModelProto, int8: onnx.ModelProto) -> None:
    batch = images(30, seed=6).numpy()
    expected, found = run(fp32, batch), run(int8, batch)
    error = np.sqrt(np.mean((found - expected) ** 2))
    assert 0 < error < 0.1 * expected.std()
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.9


def test_a_picture_has_the_same_logits_alone_and_in_a_batch(int8: onnx.ModelProto) -> None:
    batch = images(7, seed=7).numpy()
    alone = np.concatenate([run(int8, batch[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(run(int8, batch), alone, rtol=1e-5, atol=1e-5)


def test_weights_use_seven_bits_and_every_filter_its_own_scale(int8: onnx.ModelProto) -> None:
    found = constants(int8)
    weights = {
        node.input[0]: node.input[1]
        for node in int8.graph.node
        if node.op_type == "DequantizeLinear" and found.get(node.input[0], np.empty(0)).ndim == 4
    }
    assert len(weights) == 4  # two stages of two convolutions
    for name, scale in weights.items():
        values = found[name]
        assert values.dtype == np.int8
        assert 2 * 255 * np.abs(values.astype(int)).max() <= np.iinfo(np.int16).max
        assert found[scale].shape == (len(values),)


def test_the_first_convolution_stays_in_float(int8: onnx.ModelProto) -> None:
    found = constants(int8)
    first = next(node for node in int8.graph.node if node.op_type == "Conv")
    assert found[first.input[1]].dtype == np.float32
    assert first.input[0] == "pixel_values"


def test_activations_are_unsigned_bytes(int8: onnx.ModelProto) -> None:
    types = {
        tensor.name: tensor.data_type
        for tensor in int8.graph.initializer
        if tensor.name.endswith("zero_point")
    }
    of_activations = [
        types[node.input[2]] for node in int8.graph.node if node.op_type == "QuantizeLinear"
    ]
    assert set(of_activations) == {TensorProto.UINT8}
    assert len(of_activations) > 4


def test_the_ways_to_calibrate_are_those_the_recipe_tries() -> None:
    assert {"minmax", "percentile", "entropy"} == set(METHODS)


def test_full_layers_are_bytes_all_of_them_where_there_is_no_convolution() -> None:
    graph = image_graph(mlp(), SIDE, SIDE)
    int8 = quantize_images(graph, images(40, seed=5).numpy(), "minmax", batch=20)
    floats = {name for name, v in constants(int8).items() if v.ndim == 2 and v.dtype != np.int8}
    assert not floats
    batch = images(30, seed=6).numpy()
    expected, found = run(graph, batch), run(int8, batch)
    assert 0 < np.abs(found - expected).max() < 0.2 * np.abs(expected).max()
    alone = np.concatenate([run(int8, batch[i : i + 1]) for i in range(30)])
    np.testing.assert_array_equal(alone, found)

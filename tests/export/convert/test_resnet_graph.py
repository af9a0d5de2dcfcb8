import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from export.convert.graph_builder import IR_VERSION, OPSET
from export.convert.resnet_graph import FoldedResNet, fold, resnet_graph
from service.runtime.session import Session, open_session
from tests.export.tiny_networks import CLASSES, SIDE, images, resnet

pytestmark = pytest.mark.timeout(300)  # torch's exporter takes its time


@pytest.fixture(scope="module")
def graph() -> onnx.ModelProto:
    return resnet_graph(resnet(), SIDE, SIDE)


@pytest.fixture(scope="module")
def session(graph: onnx.ModelProto) -> Session:
    return open_session(graph.SerializeToString())


@torch.no_grad()
def logits(network: nn.Module, batch: Tensor) -> Tensor:
    return network(batch)


@pytest.mark.parametrize("count", [1, 3, 16])
def test_the_folded_network_computes_what_the_trained_one_does(count: int) -> None:
    network, batch = resnet(), images(count)
    found = logits(FoldedResNet(network).eval(), batch)
    torch.testing.assert_close(found, logits(network, batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3, 16])
def test_the_graph_computes_what_torch_does_at_every_batch_size(
    session: Session, count: int
) -> None:
    batch = images(count, seed=count)
    found = session.run({"pixel_values": batch.numpy()})["logits"]
    expected = logits(resnet(), batch).numpy()
    assert found.shape == (count, CLASSES)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected).max() > 0.1  # not all zeros


def test_the_first_axis_alone_is_free(graph: onnx.ModelProto) -> None:
    def shape(value: onnx.ValueInfoProto) -> list[str | int]:
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    pixels, *others = graph.graph.input
    assert (pixels.name, others) == ("pixel_values", [])
    assert shape(pixels) == ["batch", 3, SIDE, SIDE]
    assert shape(graph.graph.output[0]) == ["batch", CLASSES]


def test_norms_are_gone_and_versions_are_those_we_promise(graph: onnx.ModelProto) -> None:
    operators = {node.op_type for node in graph.graph.node}
    assert "Conv" in operators
    assert "BatchNormalization" not in operators
    assert graph.ir_version == IR_VERSION
    assert {entry.domain: entry.version for entry in graph.opset_import}[""] == OPSET


def test_folding_leaves_the_trained_network_as_it_was() -> None:
    network = resnet()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    FoldedResNet(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@torch.no_grad()
def test_a_folded_pair_equals_the_two_whatever_the_scale() -> None:
    torch.manual_seed(3)
    convolution = nn.Conv2d(2, 5, 3, padding=1, bias=False)
    norm = nn.BatchNorm2d(5).eval()
    norm.weight.uniform_(0.1, 3)
    norm.bias.normal_()
    norm.running_mean = torch.randn(5)
    norm.running_var = torch.rand(5) + 0.1
    x = torch.randn(2, 2, 6, 6)
    torch.testing.assert_close(fold(convolution, norm)(x), norm(convolution(x)))


def test_a_norm_that_turns_signs_is_refused() -> None:
    norm = nn.BatchNorm2d(3)
    nn.init.constant_(norm.weight[1], -1.0)
    with pytest.raises(ValueError, match="negative scale"):
        fold(nn.Conv2d(3, 3, 3, bias=False), norm)

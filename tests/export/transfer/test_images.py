import pytest
import torch
from torch import nn

from export.convert.image_graph import image_graph
from export.networks.cnn import ResNet, ResNetConfig
from export.networks.kinds import IMAGE_KINDS
from export.networks.mlp import Mlp
from export.transfer.errors import TransferError
from export.transfer.images import (
    settle_norms,
    start_image_network,
    teaching_image_network,
)
from export.transfer.source import Checkpoint, Source
from tests.export.tiny_networks import CLASSES, SIDE, images, mlp, resnet
from tests.export.transfer.published import published

pytestmark = pytest.mark.timeout(300)  # torch's exporter takes its time

LABELS = tuple("abcd")
assert len(LABELS) == CLASSES


@pytest.fixture(scope="module", params=["resnet", "mlp"])
def network(request: pytest.FixtureRequest) -> ResNet | Mlp:
    return resnet(depths=(2, 1)) if request.param == "resnet" else mlp()


@pytest.fixture(scope="module")
def source(network: ResNet | Mlp) -> Source:
    return published([image_graph(network, SIDE, SIDE)], LABELS)


@torch.no_grad()
def logits(network: nn.Module, seed: int = 3) -> torch.Tensor:
    return network(images(5, seed))


def test_a_published_graph_gives_the_network_back(network: ResNet | Mlp, source: Source) -> None:
    found = start_image_network(source, LABELS, None, SIDE).eval()
    torch.testing.assert_close(logits(found), logits(network), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", [0, 1])
def test_the_padding_comes_along(padding: int) -> None:
    network = ResNet(ResNetConfig(CLASSES, (8, 12), (1, 1), padding=padding)).eval()
    graph = published([image_graph(network, SIDE, SIDE)], LABELS)
    for source in (graph, Checkpoint("a.pt", network.state_dict(), None)):
        found = start_image_network(source, LABELS, None, SIDE).eval()
        torch.testing.assert_close(logits(found), logits(network), rtol=1e-4, atol=1e-5)


def test_a_checkpoint_of_before_paddings_were_kept_has_none() -> None:
    network = ResNet(ResNetConfig(CLASSES, (8, 12), (1, 1), padding=0)).eval()
    weights = {name: v for name, v in network.state_dict().items() if name != "padding"}
    found = start_image_network(Checkpoint("a.pt", weights, None), LABELS, None, SIDE).eval()
    assert torch.equal(logits(found), logits(network))


def test_a_checkpoint_gives_the_network_back(network: ResNet | Mlp) -> None:
    checkpoint = Checkpoint("a.pt", network.state_dict(), None)
    found = start_image_network(checkpoint, LABELS, None, SIDE).eval()
    assert torch.equal(logits(found), logits(network))


def test_other_labels_get_a_new_head_on_what_was_learnt(
    network: ResNet | Mlp, source: Source
) -> None:
    found = start_image_network(source, ("x", "y"), None, SIDE).eval()
    assert logits(found).shape == (5, 2)
    first = "whitening.weight" if isinstance(network, ResNet) else "features.1.weight"
    torch.testing.assert_close(found.get_parameter(first), network.get_parameter(first))


def test_a_teacher_gives_the_answers_of_its_graph(network: ResNet | Mlp, source: Source) -> None:
    found = teaching_image_network(source, LABELS, SIDE).eval()
    torch.testing.assert_close(logits(found), logits(network), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("labels", [LABELS[::-1], LABELS[:2]], ids=["order", "number"])
def test_a_teacher_of_other_classes_is_refused(source: Source, labels: tuple[str, ...]) -> None:
    with pytest.raises(TransferError, match="tiny tells other classes apart"):
        teaching_image_network(source, labels, SIDE)


def test_a_checkpoint_of_another_number_of_classes_is_no_teacher(network: ResNet | Mlp) -> None:
    with pytest.raises(TransferError, match=r"a\.pt tells other classes apart"):
        teaching_image_network(Checkpoint("a.pt", network.state_dict(), None), LABELS[1:], SIDE)


def test_another_kind_than_the_sources_is_refused(source: Source, network: ResNet | Mlp) -> None:
    own, other = IMAGE_KINDS if isinstance(network, ResNet) else IMAGE_KINDS[::-1]
    with pytest.raises(TransferError, match=f"of the kind {own}: give --network {own}"):
        start_image_network(source, LABELS, other, SIDE)


def test_full_layers_for_pictures_of_another_size_are_refused() -> None:
    checkpoint = Checkpoint("a.pt", mlp().state_dict(), None)
    with pytest.raises(TransferError, match="pictures of another size"):
        start_image_network(checkpoint, LABELS, None, 2 * SIDE)


@pytest.mark.parametrize("name", ["head.weight", "layer.weight"])
def test_weights_of_something_else_are_refused(name: str) -> None:
    foreign = Checkpoint("a.pt", {name: torch.ones(2, 2)}, None)
    with pytest.raises(TransferError, match="holds no image network"):
        start_image_network(foreign, LABELS, None, SIDE)


def test_settled_norms_change_no_answer_and_know_what_they_are_given() -> None:
    network, batch = resnet(), images(64, 1)
    before = logits(network)
    settle_norms(network, batch)
    torch.testing.assert_close(logits(network), before, rtol=1e-4, atol=1e-5)
    expected = network(batch)
    torch.testing.assert_close(network.train()(batch), expected, rtol=1e-3, atol=1e-4)


def test_without_settling_a_batch_would_move_an_unfolded_network() -> None:
    source = published([image_graph(resnet(), SIDE, SIDE)], LABELS)
    batch = images(64, 1)
    loose, settled = (start_image_network(source, LABELS, None, SIDE).eval() for _ in range(2))
    expected = loose(batch)
    settle_norms(settled, batch)
    torch.testing.assert_close(settled.train()(batch), expected, rtol=1e-3, atol=1e-4)
    assert (loose.train()(batch) - expected).abs().max() > 0.1


def test_a_stage_may_have_several_residual_blocks() -> None:
    network = ResNet(ResNetConfig(CLASSES, widths=(8, 12), depths=(1, 3)))
    assert [len(stage) for stage in network.stages] == [5, 7]

import pytest
import torch

from export.networks.cnn import Residual, ResNet, ResNetConfig, Stage
from tests.export.tiny_networks import CLASSES, SIDE, images, resnet


def test_any_number_of_pictures_of_any_size_from_16_up_gives_a_row_of_logits_each() -> None:
    network = resnet()
    for count, height, width in [(1, 16, 16), (3, 16, 24), (2, 33, 17)]:
        assert network(torch.rand(count, 3, height, width)).shape == (count, CLASSES)


@pytest.mark.parametrize(("padding", "side"), [(0, 1), (1, 2)])
def test_a_padded_picture_loses_no_border_by_halving(padding: int, side: int) -> None:
    network = ResNet(ResNetConfig(CLASSES, (8, 8, 8), padding=padding)).eval()
    features = network.stages(network.whitening(images(1)))
    assert features.shape[2:] == (side, side)


def test_a_picture_has_the_same_logits_alone_and_in_a_batch() -> None:
    network, batch = resnet(), images(5)
    alone = torch.cat([network(batch[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(network(batch), alone, rtol=1e-4, atol=1e-5)


def test_whitened_patches_have_equal_spread_in_all_directions_and_no_correlation() -> None:
    torch.manual_seed(0)
    grey = torch.rand(40, 1, SIDE, SIDE)
    pictures = grey + 0.2 * torch.rand(40, 3, SIDE, SIDE)  # colours that nearly agree, as in photos
    network = ResNet(ResNetConfig(classes=2, widths=(8,), padding=0))  # no patch of a border
    network.whiten(pictures - pictures.mean(), epsilon=1e-9)
    seen = network.whitening(pictures - pictures.mean()).detach()
    half = seen.shape[1] // 2
    directions = seen[:, :half].transpose(0, 1).flatten(1)
    torch.testing.assert_close(torch.cov(directions), torch.eye(half), rtol=0, atol=2e-3)
    torch.testing.assert_close(seen[:, half:], -seen[:, :half])


def test_grey_pictures_are_learnt_from_like_any_others() -> None:
    """Two thirds of what a patch could be never happens there: nothing may grow out of it."""
    torch.manual_seed(0)
    grey = torch.randn(64, 1, 16, 16).expand(-1, 3, -1, -1)
    network = ResNet(ResNetConfig(3, widths=(4, 8)))
    network.whiten(grey)
    silent = (network.whitening.weight == 0).all(dim=(1, 2, 3))
    assert silent.sum() == 2 * 8
    network.train()(grey).logsumexp(1).sum().backward()
    assert network.whitening.bias is not None
    assert network.whitening.bias.grad is not None
    assert network.whitening.bias.grad[silent].abs().max() < 1e-2
    assert network.whitening.bias.grad.abs().max() < 100


def test_the_whitening_and_the_scale_of_the_norms_are_not_learnt() -> None:
    fixed = {name for name, p in ResNet(ResNetConfig(2)).named_parameters() if not p.requires_grad}
    assert "whitening.weight" in fixed
    assert all(name == "whitening.weight" or name.endswith("weight") for name in fixed)
    norms = [m for m in ResNet(ResNetConfig(2)).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(fixed) == 1 + len(norms)
    assert all((norm.weight == 1).all() for norm in norms)


def test_a_residual_block_without_weights_passes_the_picture_through() -> None:
    block = Residual(4).eval()
    torch.nn.init.zeros_(block.conv.weight)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x), x)


def test_a_stage_halves_the_picture() -> None:
    assert Stage(6, 9)(torch.rand(2, 6, 10, 8)).shape == (2, 9, 5, 4)


@pytest.mark.parametrize("layer", ["stages.0.0.weight", "stages.1.4.conv.weight", "head.weight"])
def test_every_layer_gets_a_gradient(layer: str) -> None:
    network = resnet().train()
    network(images(4)).square().sum().backward()
    gradient = network.get_parameter(layer).grad
    assert gradient is not None
    assert gradient.abs().sum() > 0

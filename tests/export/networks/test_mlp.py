import pytest
import torch

from export.networks.mlp import Mlp, MlpConfig
from tests.export.tiny_networks import CLASSES, SIDE, images, mlp


def test_a_picture_has_the_same_logits_alone_and_in_a_batch() -> None:
    network, batch = mlp(), images(5)
    alone = torch.cat([network(batch[i : i + 1]) for i in range(5)])
    assert alone.shape == (5, CLASSES)
    torch.testing.assert_close(network(batch), alone, rtol=1e-4, atol=1e-5)


def test_its_layers_have_the_widths_asked_for() -> None:
    network = Mlp(MlpConfig(classes=3, height=4, width=5, widths=(7, 6)))
    shapes = [tuple(p.shape) for name, p in network.named_parameters() if "weight" in name]
    assert shapes == [(7, 60), (6, 7), (3, 6)]


def test_every_pixel_counts() -> None:
    network, batch = mlp(), images(1).requires_grad_()
    network(batch).square().sum().backward()
    assert batch.grad is not None
    assert (batch.grad != 0).all()


@pytest.mark.parametrize("mode", [True, False])
def test_nothing_in_it_is_bound_to_the_processor(mode: bool) -> None:
    network = mlp().to("meta").train(mode)
    assert network(torch.ones(2, 3, SIDE, SIDE, device="meta")).device.type == "meta"

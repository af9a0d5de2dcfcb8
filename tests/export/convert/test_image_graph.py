import numpy as np
import pytest
import torch
from torch import nn

from export.convert.image_graph import image_graph
from service.runtime.session import open_session
from tests.export.tiny_networks import CLASSES, SIDE, images, mlp, resnet

pytestmark = pytest.mark.timeout(300)  # torch's exporter takes its time


@pytest.mark.parametrize("network", [resnet(depths=(2, 1)), mlp()], ids=["resnet", "mlp"])
def test_the_graph_computes_what_torch_does_at_every_batch_size(network: nn.Module) -> None:
    session = open_session(image_graph(network, SIDE, SIDE).SerializeToString())
    for count in (1, 3, 16):
        batch = images(count, seed=count)
        found = session.run({"pixel_values": batch.numpy()})["logits"]
        with torch.no_grad():
            expected = network(batch).numpy()
        assert found.shape == (count, CLASSES)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        assert np.abs(expected).max() > 0.1  # not all zeros

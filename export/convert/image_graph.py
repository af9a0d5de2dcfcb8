"""The image networks as ONNX graphs, whichever kind they are."""

import onnx

from export.convert.resnet_graph import export_images, resnet_graph
from export.networks.cnn import ResNet
from export.networks.mlp import Mlp


def image_graph(network: ResNet | Mlp, height: int, width: int) -> onnx.ModelProto:
    """pixel_values float32 [N, 3, H, W] -> logits float32 [N, K]; N is dynamic."""
    if isinstance(network, Mlp):
        return export_images(network.eval(), (2, 3, height, width))
    return resnet_graph(network, height, width)

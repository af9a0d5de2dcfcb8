"""The image network as an ONNX graph of plain convolutions, exported by torch.

Batch norm is folded into the convolution before it: the norm's scale is positive, so it may be
moved in front of the pooling and the ReLU behind them. N images, H x W pixels, K classes.
"""

import io
import logging
import warnings
from collections.abc import Sequence

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from export.convert.graph_builder import IR_VERSION, OPSET
from export.networks.cnn import Residual, ResNet, Stage


class FoldedResidual(nn.Module):
    def __init__(self, block: Residual) -> None:
        super().__init__()
        self.conv = fold(block.conv, block.norm)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return x_NCHW + functional.relu(self.conv(x_NCHW))


class FoldedResNet(nn.Module):
    """Same function as the network in evaluation mode, without norms and without a loose scale."""

    def __init__(self, network: ResNet) -> None:
        super().__init__()
        layers: list[nn.Module] = [network.whitening, nn.ReLU()]
        for stage in network.stages:
            assert isinstance(stage, Stage)
            convolution, _, norm, _, *residuals = stage
            # ReLU straight after the convolution: int8 kernels fuse the two.
            layers += [fold(convolution, norm), nn.ReLU(), nn.MaxPool2d(2)]
            layers += [FoldedResidual(residual) for residual in residuals]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(network.head.in_features, network.head.out_features, bias=False)
        self.head.weight.data = network.head.weight.data * network.config.logit_scale

    def forward(self, pixel_values: Tensor) -> Tensor:
        logits_NK: Tensor = self.head(self.features(pixel_values).amax(dim=(2, 3)))
        return logits_NK


def fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution equal to the pair; ValueError where the norm's scale is not positive."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight.data / (norm.running_var + norm.eps).sqrt()
    if not bool((scale > 0).all()):
        raise ValueError("a batch norm with a negative scale cannot move before the pooling")
    folded = nn.Conv2d(convolution.in_channels, convolution.out_channels, 3, padding=1)
    assert folded.bias is not None
    folded.weight.data = convolution.weight.data * scale[:, None, None, None]
    folded.bias.data = norm.bias.data - norm.running_mean * scale
    return folded


def resnet_graph(network: ResNet, height: int, width: int) -> onnx.ModelProto:
    """pixel_values float32 [N, 3, H, W] -> logits float32 [N, K]; N is dynamic."""
    return export_images(FoldedResNet(network).eval(), (2, 3, height, width))


def export_images(network: nn.Module, shape: Sequence[int]) -> onnx.ModelProto:
    """Export any network from images to logits, its first axis dynamic."""
    batch = torch.export.Dim("batch")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, we do not
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations are not ours to mend
        program = torch.onnx.export(
            network,
            (torch.zeros(*shape),),
            dynamo=True,
            input_names=["pixel_values"],
            output_names=["logits"],
            dynamic_shapes=({0: batch},),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    content = io.BytesIO()
    onnx.save(program.model_proto, content)
    model = onnx.load_from_string(content.getvalue())
    model.ir_version = IR_VERSION
    del model.graph.value_info[:]  # shapes of the example, which would mislead the quantizer
    onnx.checker.check_model(model)
    return model

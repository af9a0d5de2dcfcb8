"""A small residual network for images. Knows pixels and classes, nothing of data or training.

Shapes: N images, C channels, H x W pixels, K classes.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

FLAT = 1e-6  # of the largest variance: less of it is rounding


@dataclass(frozen=True)
class ResNetConfig:
    """Width of each stage, and its depth: it halves the picture, then refines it in so many
    residual blocks. `padding` pixels are added around a picture first: with 1, and a kernel of 2,
    no border is lost by halving a side that is a power of two."""

    classes: int
    widths: tuple[int, ...] = (64, 192, 256)
    depths: tuple[int, ...] = (1, 1, 1)
    whitening_kernel: int = 2
    padding: int = 1
    logit_scale: float = 1 / 9


class Residual(nn.Module):
    """x + ReLU(BN(conv(x))): an identity shortcut (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _convolution(channels, channels)
        self.norm = _norm(channels)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return x_NCHW + functional.relu(self.norm(self.conv(x_NCHW)))


class Stage(nn.Sequential):
    """Widen, halve, normalise, refine. Pooling comes first: the norm then sees a quarter."""

    def __init__(self, in_channels: int, out_channels: int, depth: int = 1) -> None:
        super().__init__(
            _convolution(in_channels, out_channels),
            nn.MaxPool2d(2),
            _norm(out_channels),
            nn.ReLU(inplace=True),
            *(Residual(out_channels) for _ in range(depth)),
        )


class ResNet(nn.Module):
    """Images float32 [N, 3, H, W], normalised -> logits float32 [N, K]. H and W at least 16.

    The first layer is a fixed whitening of small patches, set from data by `whiten`; its
    filters come in pairs of opposite sign, so that the ReLU behind them loses nothing.
    """

    padding: Tensor

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        kernel = config.whitening_kernel
        filters = 2 * 3 * kernel * kernel
        self.whitening = nn.Conv2d(3, filters, kernel, padding=config.padding, bias=True)
        self.whitening.weight.requires_grad = False
        widths = (filters, *config.widths)
        stages = zip(pairwise(widths), config.depths, strict=False)
        self.stages = nn.Sequential(*(Stage(a, b, depth) for (a, b), depth in stages))
        self.head = nn.Linear(widths[-1], config.classes, bias=False)
        # in every checkpoint, because no weight tells it
        self.register_buffer("padding", torch.tensor(config.padding))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        features_NCHW = self.stages(functional.relu(self.whitening(x_NCHW)))
        pooled_NC = features_NCHW.amax(dim=(2, 3))
        logits_NK: Tensor = self.head(pooled_NC) * self.config.logit_scale
        return logits_NK

    @torch.no_grad()
    def whiten(self, x_NCHW: Tensor, epsilon: float = 5e-4) -> None:
        """Set the first layer to the scaled eigenvectors of the patches of these images.

        A direction in which no patch differs gets a filter of zeros. Grey pictures have such, and
        the norms behind would make its rounding errors as large as what the others see.
        """
        kernel = self.config.whitening_kernel
        patches = functional.unfold(x_NCHW, kernel).transpose(1, 2).flatten(0, 1).double()
        patches = patches - patches.mean(dim=0)
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        scales = torch.where(values > FLAT * values[-1], (values + epsilon).rsqrt(), 0.0)
        filters = (vectors * scales).T.flip(0)
        filters = filters.reshape(-1, 3, kernel, kernel).float()
        self.whitening.weight.copy_(torch.cat([filters, -filters]))
        assert self.whitening.bias is not None
        self.whitening.bias.zero_()


def _convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    """He initialisation (1502.01852); the first filters start as the identity."""
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_uniform_(convolution.weight, a=5**0.5)
    with torch.no_grad():
        nn.init.dirac_(convolution.weight[:in_channels])
    return convolution


def _norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm whose scale stays one: the next layer can learn it, and so pooling commutes."""
    norm = nn.BatchNorm2d(channels, eps=1e-5, momentum=0.4)
    norm.weight.requires_grad = False
    return norm

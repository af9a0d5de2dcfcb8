"""A plain network of full layers for images: the least that learns, quick on any machine.

Shapes: N images, C channels, H x W pixels, K classes.
"""

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn


@dataclass(frozen=True)
class MlpConfig:
    """Widths of the hidden layers, for pictures of one size."""

    classes: int
    height: int = 32
    width: int = 32
    widths: tuple[int, ...] = (512, 256)
    dropout: float = 0.2


class Mlp(nn.Module):
    """Images float32 [N, 3, H, W], normalised -> logits float32 [N, K]."""

    def __init__(self, config: MlpConfig) -> None:
        super().__init__()
        self.config = config
        sizes = (3 * config.height * config.width, *config.widths)
        layers: list[nn.Module] = [nn.Flatten()]
        for entering, leaving in pairwise(sizes):
            linear = nn.Linear(entering, leaving)
            nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu")
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.ReLU(), nn.Dropout(config.dropout)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-1], config.classes)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        logits_NK: Tensor = self.head(self.features(x_NCHW))
        return logits_NK

"""Image networks whose answers another one learns from (distillation: Hinton et al. 2015,
arXiv:1503.02531).

N images, C = 3 colours, H x W pixels, K classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.devices import fastest_device
from export.options import Options
from export.recipes.image_network import SIDE, TASK, colours_known_to
from export.recipes.image_training import Colours
from export.transfer.images import teaching_image_network
from export.transfer.source import open_source


class Teachers:
    """What they answer together: the mean over all of them, and over each image and its mirror
    image. Each sees the images in the colours that it was trained with."""

    def __init__(self, members: Sequence[tuple[nn.Module, Colours]], student: Colours) -> None:
        device = fastest_device()
        self._members = [
            (
                network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False),
                *(part.to(device) for part in _from_to(student, colours)),
            )
            for network, colours in members
        ]

    @torch.no_grad()
    def __call__(self, x_NCHW: Tensor, softness: float) -> Tensor:
        """Probabilities float32 [N, K] of logits divided by `softness`, for images as the student
        is given them."""
        answers = [
            functional.softmax(network(view_NCHW * scale + offset).float() / softness, dim=1)
            for network, scale, offset in self._members
            for view_NCHW in (x_NCHW, x_NCHW.flip(3))
        ]
        return torch.stack(answers).mean(0)


def open_teachers(options: Options, labels: Sequence[str], colours: Colours) -> Teachers | None:
    """Those that the options name, for a student with these labels and colours; None for none.

    A checkpoint is taken to have the student's colours. Raises TransferError or ModelZooError.
    """
    members = []
    for name in options.teachers:
        source = open_source(name, TASK, options.models)
        assert source is not None
        own = colours_known_to(source) or colours
        members.append((teaching_image_network(source, labels, SIDE), own))
    return Teachers(members, colours) if members else None


def _from_to(given: Colours, wanted: Colours) -> tuple[Tensor, Tensor]:
    """Factor and summand [C, 1, 1] that take normalised pixels from one to the other."""
    mean, std = (torch.tensor(part) for part in (given.mean, given.std))
    wanted_mean, wanted_std = (torch.tensor(part) for part in (wanted.mean, wanted.std))
    factor, summand = std / wanted_std, (mean - wanted_mean) / wanted_std
    return factor.view(-1, 1, 1), summand.view(-1, 1, 1)

"""Trains the image network. Knows augmentation, rates and schedules; nothing of ONNX.

N images, H x W pixels, C = 3 colours, K classes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from export.datasets.augment import Images, cut_out, mirror, shift
from export.datasets.rows import LabelledImages
from export.devices import device_of, fastest_device
from export.networks.cnn import ResNet
from export.networks.mlp import Mlp
from export.optimizers import Muon
from export.training import History, Lesson, Plan, Scores, Stepper, Trainer, warm_up_then_decay

Labels = NDArray[np.int64]
Teach = Callable[[Tensor, float], Tensor]  # images and a softness to probabilities, as in Teachers

MUON_DECAY = 0.05


@dataclass(frozen=True)
class ImageTraining:
    """`rate` is for 1,024 images and decoupled from momentum (Jordan 2024, arXiv:2404.00498);
    `matrix_rate` is Muon's, for the convolutions (0: they learn by `rate` like the rest).

    warm_up, final_rate: share of the steps in which rates rise, and of the rates that the last has.
    rate_factor: on the rates of what was learnt before, for a network that does not start afresh.
    small_share: of the epochs, the first ones, see images at `small` of their side: what is coarse
    is learnt first, at half the cost (Tan and Le 2021, arXiv:2104.00298). taught_by: its
    teachers; taught_share: of the loss, against their answers, whose logits and its own are divided
    by `softness` (Hinton et al. 2015, arXiv:1503.02531). only_load: as in `Plan`.
    """

    epochs: int = 60
    batch: int = 256
    rate: float = 11.5
    matrix_rate: float = 0.04
    rate_factor: float = 1.0
    bias_rate_factor: float = 64.0
    momentum: float = 0.85
    weight_decay: float = 0.0153
    label_smoothing: float = 0.1
    shift: int = 4
    cut_out: int = 12
    small_share: float = 0.35
    small: float = 0.75
    warm_up: float = 0.2
    final_rate: float = 0.01
    average_decay: float = 0.998
    patience: int = 0
    taught_by: tuple[str, ...] = ()
    taught_share: float = 0.8
    softness: float = 2.0
    seed: int = 1
    only_load: bool = False


@dataclass(frozen=True)
class Colours:
    """Mean and standard deviation of red, green and blue on a scale of 0 to 1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def train_images(
    network: ResNet | Mlp,
    train: LabelledImages,
    validation: LabelledImages,
    colours: Colours,
    settings: ImageTraining,
    folder: Path,
    teach: Teach | None = None,
) -> History:
    """Train this network; it comes back on the CPU in evaluation mode with its best weights."""
    network.to(fastest_device(), memory_format=torch.channels_last)
    batch = min(settings.batch, len(train))

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor, int]]:
        side = _side(settings, epoch, train.images.shape[1])
        for images, labels in _augmented(train, settings, batch, epoch):
            yield to_tensor(images, colours), torch.from_numpy(labels), side

    def loss(network: nn.Module, batch: tuple[Tensor, Tensor, int]) -> Tensor:
        whole_NCHW, labels_N, side = batch
        # a teacher sees the images whole, however small its student does
        taught_NK = teach(whole_NCHW, settings.softness) if teach else None
        logits_NK = network(_resized(whole_NCHW, side)).float()
        return image_loss(logits_NK, labels_N, taught_NK, settings)

    trainer = Trainer(
        network,
        Plan(
            epochs=settings.epochs,
            steps_per_epoch=len(train) // batch,
            average_decay=settings.average_decay,
            patience=settings.patience,
            seed=settings.seed,
            only_load=settings.only_load,
        ),
        Stepper(
            _optimizers(network, settings, batch),
            warm_up_then_decay(settings.warm_up, settings.final_rate),
        ),
        Lesson(batches, loss, lambda network: evaluate_images(network, validation, colours)),
        folder,
        "images",
    )
    history = trainer.run()
    network.cpu().eval()
    return history


def image_loss(
    logits_NK: Tensor, labels_N: Tensor, taught_NK: Tensor | None, settings: ImageTraining
) -> Tensor:
    """Cross entropy; with answers of teachers, their share of it is the divergence from them."""
    own = functional.cross_entropy(logits_NK, labels_N, label_smoothing=settings.label_smoothing)
    if taught_NK is None:
        return own
    log_NK = functional.log_softmax(logits_NK / settings.softness, dim=1)
    # soft logits have gradients smaller by the square of the softness
    taught = functional.kl_div(log_NK, taught_NK, reduction="batchmean") * settings.softness**2
    return own.lerp(taught, settings.taught_share)


@torch.no_grad()
def evaluate_images(network: nn.Module, data: LabelledImages, colours: Colours) -> Scores:
    """Accuracy and mean cross entropy on a set of images."""
    correct, loss, device = 0, 0.0, device_of(network)
    for start in range(0, len(data), 250):
        images, labels = data.images[start : start + 250], data.labels[start : start + 250]
        logits_NK = network(to_tensor(images, colours).to(device)).float().cpu()
        target = torch.from_numpy(labels)
        correct += int((logits_NK.argmax(1) == target).sum())
        loss += float(functional.cross_entropy(logits_NK, target, reduction="sum"))
    return {"validation_loss": loss / len(data), "accuracy": correct / len(data)}


def _augmented(
    train: LabelledImages, settings: ImageTraining, batch: int, epoch: int
) -> Iterator[tuple[Images, Labels]]:
    generator = np.random.default_rng((settings.seed, epoch))
    # Alternating flip: every image is seen both ways in two epochs, never twice the same.
    first_way = np.random.default_rng(settings.seed).random(len(train)) < 0.5
    flipped = first_way ^ bool(epoch % 2)
    order = generator.permutation(len(train))
    for start in range(0, len(train) - batch + 1, batch):
        rows = order[start : start + batch]
        images = mirror(train.images[rows], flipped[rows])
        images = shift(images, settings.shift, generator)
        yield cut_out(images, settings.cut_out, generator), train.labels[rows]


def _side(settings: ImageTraining, epoch: int, whole: int) -> int:
    """Height and width at which images of this epoch, counted from 0, are seen."""
    is_small = epoch < settings.small_share * settings.epochs
    return round(settings.small * whole) if is_small else whole


def _resized(x_NCHW: Tensor, side: int) -> Tensor:
    if x_NCHW.shape[-1] == side:
        return x_NCHW
    return functional.interpolate(x_NCHW, (side, side), mode="bilinear", antialias=True)


def to_tensor(images_NHWC: Images, colours: Colours) -> Tensor:
    """Normalised images float32 [N, 3, H, W], channels last in memory."""
    scale_C = 255 * np.asarray(colours.std, np.float32)
    offset_C = np.asarray(colours.mean, np.float32) / np.asarray(colours.std, np.float32)
    x_NHWC = np.ascontiguousarray(images_NHWC) / scale_C - offset_C
    return torch.from_numpy(x_NHWC).permute(0, 3, 1, 2)


def _optimizers(
    network: ResNet | Mlp, settings: ImageTraining, batch: int
) -> tuple[torch.optim.Optimizer, ...]:
    """SGD for all, or Muon for the convolutions and SGD for the rest."""
    per_example = 1024 * (1 + 1 / (1 - settings.momentum))
    rate = settings.rate / per_example * batch
    decay = settings.weight_decay / per_example
    head = {id(parameter) for parameter in network.head.parameters()}
    learnt = [p for p in network.parameters() if p.requires_grad]
    biases = [p for p in learnt if p.ndim == 1 and id(p) not in head]
    weights = [p for p in learnt if p.ndim > 1 and id(p) not in head]
    factor, slowly = settings.bias_rate_factor, settings.rate_factor
    groups = [
        {"params": list(network.head.parameters()), "lr": rate, "weight_decay": decay},
        {"params": biases, "lr": rate * factor * slowly, "weight_decay": decay / factor},
    ]
    muon: tuple[torch.optim.Optimizer, ...] = ()
    if settings.matrix_rate:
        matrix_rate = settings.matrix_rate * slowly
        muon = (Muon(weights, lr=matrix_rate, momentum=0.8, weight_decay=MUON_DECAY),)
    else:
        groups.append({"params": weights, "lr": rate * slowly, "weight_decay": decay})
    sgd = torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, nesterov=True)
    return (sgd, *muon)

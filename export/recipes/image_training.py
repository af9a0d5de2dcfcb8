"""Trains the image network. Knows augmentation, rates and schedules; nothing of ONNX.

N images, H x W pixels, C = 3 colours, K classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from export.datasets.augment import Images, cut_out, mirror, shift
from export.datasets.rows import LabelledImages
from export.networks.cnn import ResNet, ResNetConfig
from export.training import History, Lesson, Plan, Scores, Stepper, Trainer, warm_up_then_decay

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ImageTraining:
    """Rates are for 1,024 images, decoupled from momentum (Jordan 2024, arXiv:2404.00498)."""

    epochs: int = 16
    batch: int = 256
    rate: float = 11.5
    bias_rate_factor: float = 64.0
    momentum: float = 0.85
    weight_decay: float = 0.0153
    label_smoothing: float = 0.2
    shift: int = 2
    cut_out: int = 4
    average_decay: float = 0.995
    widths: tuple[int, ...] = (48, 160, 256)
    patience: int = 0
    seed: int = 1


def train_images(
    train: LabelledImages,
    validation: LabelledImages,
    classes: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    settings: ImageTraining,
    folder: Path,
) -> tuple[ResNet, History]:
    """Train from scratch; the network comes back in evaluation mode with its best weights."""
    torch.manual_seed(settings.seed)
    network = ResNet(ResNetConfig(classes=classes, widths=settings.widths))
    network.whiten(_to_tensor(train.images[: min(5000, len(train))], mean, std))
    network.to(memory_format=torch.channels_last)
    batch = min(settings.batch, len(train))

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in _augmented(train, settings, batch, epoch):
            yield _to_tensor(images, mean, std), torch.from_numpy(labels)

    def loss(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        logits_NK = network(batch[0]).float()
        return functional.cross_entropy(
            logits_NK, batch[1], label_smoothing=settings.label_smoothing
        )

    trainer = Trainer(
        network,
        Plan(
            epochs=settings.epochs,
            steps_per_epoch=len(train) // batch,
            average_decay=settings.average_decay,
            patience=settings.patience,
            seed=settings.seed,
        ),
        Stepper((_optimizer(network, settings, batch),), warm_up_then_decay(0.23, 0.07)),
        Lesson(batches, loss, lambda network: evaluate_images(network, validation, mean, std)),
        folder,
        "images",
    )
    history = trainer.run()
    return network.eval(), history


@torch.no_grad()
def evaluate_images(
    network: nn.Module, data: LabelledImages, mean: tuple[float, ...], std: tuple[float, ...]
) -> Scores:
    """Accuracy and mean cross entropy on a set of images."""
    correct, loss = 0, 0.0
    for start in range(0, len(data), 250):
        images, labels = data.images[start : start + 250], data.labels[start : start + 250]
        logits_NK = network(_to_tensor(images, mean, std)).float()
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


def _to_tensor(images_NHWC: Images, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    scale_C = 255 * np.asarray(std, np.float32)
    offset_C = np.asarray(mean, np.float32) / np.asarray(std, np.float32)
    x_NHWC = np.ascontiguousarray(images_NHWC) / scale_C - offset_C
    return torch.from_numpy(x_NHWC).permute(0, 3, 1, 2)  # channels last in memory


def _optimizer(network: nn.Module, settings: ImageTraining, batch: int) -> torch.optim.Optimizer:
    per_example = 1024 * (1 + 1 / (1 - settings.momentum))
    rate = settings.rate / per_example * batch
    decay = settings.weight_decay / per_example
    learnt = [p for p in network.parameters() if p.requires_grad]
    biases, weights = [p for p in learnt if p.ndim == 1], [p for p in learnt if p.ndim > 1]
    factor = settings.bias_rate_factor
    groups = [
        {"params": weights, "lr": rate, "weight_decay": decay},
        {"params": biases, "lr": rate * factor, "weight_decay": decay / factor},
    ]
    return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, nesterov=True)

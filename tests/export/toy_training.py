"""A training run on a network of a few numbers, which may be killed between two steps."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from export.optimizers import Muon
from export.training import (
    Lesson,
    Plan,
    Scores,
    Stepper,
    Trainer,
    warm_up_then_decay,
)

STEPS = 6
Batch = tuple[Tensor, Tensor]
Batches = Callable[[int], Iterator[Batch]]


class Killed(Exception):
    """Stands for a kill between two steps."""


def network(seed: int = 0) -> nn.Module:
    """Two inputs, two classes; dropout, so that chance plays a part in training."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 2))


def points(seed: tuple[int, ...], count: int = 32) -> Batch:
    """Points of a plane; the class says on which side of a line they lie."""
    x = np.random.default_rng(seed).uniform(-1, 1, (count, 2)).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy((x[:, 0] > 0.5 * x[:, 1]).astype(np.int64))


def batches(epoch: int) -> Iterator[Batch]:
    for step in range(STEPS):
        yield points((epoch, step))


def batches_until(kill: tuple[int, int]) -> Batches:
    def killed(epoch: int) -> Iterator[Batch]:
        for step, batch in enumerate(batches(epoch)):
            if (epoch, step) == kill:
                raise Killed
            yield batch

    return killed


def loss(network: nn.Module, batch: Batch) -> Tensor:
    return functional.cross_entropy(network(batch[0]), batch[1])


@torch.no_grad()
def evaluate(network: nn.Module) -> Scores:
    assert not network.training
    x, target = points((99, 99), 200)
    return {"accuracy": float((network(x).argmax(1) == target).float().mean())}


def stepper(network: nn.Module) -> Stepper:
    """Muon for matrices, Adam for biases, as translation has it."""
    parameters = list(network.parameters())
    muon = Muon([p for p in parameters if p.ndim == 2], lr=0.05)
    adam = torch.optim.AdamW([p for p in parameters if p.ndim == 1], lr=0.05)
    return Stepper((muon, adam), warm_up_then_decay(0.2, 0.1))


def trainer(
    folder: Path, given: Callable[[int], Iterator[Batch]] = batches, **plan: Any
) -> Trainer:
    fields: dict[str, Any] = {
        "epochs": 3,
        "average_decay": 0.8,
        "clip": 1.0,
        "seed": 5,
        "checkpoint_every_s": 0.0,
    }
    made = network()
    return Trainer(
        made,
        Plan(steps_per_epoch=STEPS, **{**fields, **plan}),
        stepper(made),
        Lesson(given, loss, evaluate),
        folder,
        "test",
    )


def weights(trained: Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trained.network.state_dict().items()}


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)

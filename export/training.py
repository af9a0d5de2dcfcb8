"""The training loop that all recipes share: steps, averaging, checkpoints, early stopping.

Knows networks and numbers, nothing of images or text: a recipe hands in its batches and loss.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export.devices import device_of, mixed_precision, moved, random_state, set_random_state
from export.progress import TrainingProgress

Batch = Any
Scores = dict[str, float]
Score = tuple[float, float]  # what decides, and what decides between equals


@dataclass(frozen=True)
class Plan:
    """How long and how to train. `metric` names the validation score that decides (higher wins).

    patience: validations without improvement before stopping (0: never stop early).
    average_decay: decay a step of the exponential moving average of weights that is kept
    (0: keep the raw weights). clip: largest gradient norm (0: none). only_load: take up what an
    earlier run learnt; make no step, and write nothing.
    """

    epochs: int
    steps_per_epoch: int
    metric: str = "accuracy"
    patience: int = 0
    average_decay: float = 0.0
    clip: float = 0.0
    seed: int = 0
    checkpoint_every_s: float = 120.0
    only_load: bool = False


class NothingLearnt(Exception):
    """The work folder holds no finished epoch."""


@dataclass
class History:
    """What a training run printed, a row an epoch; the plots are drawn from it."""

    rows: list[Scores] = field(default_factory=list)
    seconds: float = 0.0

    def column(self, name: str) -> list[float]:
        return [row[name] for row in self.rows if name in row]


@dataclass(frozen=True)
class Stepper:
    """The two callables that move weights: one optimisation step, and the learning-rate rule.

    schedule: share of the whole training done (0 to 1) -> factor on each group's base rate.
    """

    optimizers: tuple[torch.optim.Optimizer, ...]
    schedule: Callable[[float], float]

    def set_rate(self, done: float) -> None:
        factor = self.schedule(done)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group.setdefault("base_lr", group["lr"])
                group["lr"] = group["base_lr"] * factor

    def step(self) -> None:
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


@dataclass(frozen=True)
class Lesson:
    """What is learnt: the batches of an epoch, the loss of one, the scores on validation data.

    The same epoch number gives the same batches, so that a resumed run can skip those it had.
    """

    batches: Callable[[int], Iterable[Batch]]
    loss: Callable[[nn.Module, Batch], Tensor]
    evaluate: Callable[[nn.Module], Scores]


class Trainer:
    """Trains one network; `run` returns its best averaged weights loaded, and the history."""

    def __init__(
        self,
        network: nn.Module,
        plan: Plan,
        stepper: Stepper,
        lesson: Lesson,
        folder: Path,
        title: str,
    ) -> None:
        self.network, self.plan, self.stepper = network, plan, stepper
        self._lesson, self._folder, self._title = lesson, folder, title
        self.average = deepcopy(network).requires_grad_(False) if plan.average_decay else network
        self.history = History()
        self._epoch = self._step = 0
        self._best: tuple[Score, dict[str, Tensor]] | None = None
        self._stale = 0
        # of the epoch that goes on, also by the run that was stopped in it
        self._spent_s = 0.0
        self._loss_sum, self._counted = 0.0, 0

    def run(self) -> History:
        """Raises NothingLearnt where the plan is to load, and there is nothing."""
        torch.manual_seed(self.plan.seed)
        self._resume()
        if not self.plan.only_load:
            self._train()
        elif self._best is None:
            raise NothingLearnt(f"{self._checkpoint} holds no finished epoch")
        if self._best is not None:
            self.network.load_state_dict(self._best[1])
        return self.history

    def _train(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with TrainingProgress(self._title, self.plan.epochs * self.plan.steps_per_epoch) as bar:
            while self._epoch < self.plan.epochs and not self._is_stale():
                self._run_epoch(bar)

    def _is_stale(self) -> bool:
        return 0 < self.plan.patience <= self._stale

    def _run_epoch(self, bar: TrainingProgress) -> None:
        self.network.train()
        saved = time.monotonic()
        began = saved - self._spent_s
        for batch in islice(
            self._lesson.batches(self._epoch), self._step, self.plan.steps_per_epoch
        ):
            value = self._train_step(batch)
            self._loss_sum, self._counted = self._loss_sum + value, self._counted + 1
            self._step += 1
            bar.update(self._epoch * self.plan.steps_per_epoch + self._step, loss=value)
            if time.monotonic() - saved > self.plan.checkpoint_every_s:
                saved = time.monotonic()
                self._spent_s = saved - began
                self._save()
        loss = self._loss_sum / max(self._counted, 1)
        self._epoch, self._step, self._spent_s = self._epoch + 1, 0, 0.0
        self._loss_sum, self._counted = 0.0, 0
        self._finish_epoch(bar, loss, time.monotonic() - began)

    def _train_step(self, batch: Batch) -> float:
        total = self.plan.epochs * self.plan.steps_per_epoch
        self.stepper.set_rate((self._epoch * self.plan.steps_per_epoch + self._step) / total)
        device = device_of(self.network)
        with mixed_precision(device):
            loss = self._lesson.loss(self.network, moved(batch, device))
        loss.backward()
        if self.plan.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.clip)
        self.stepper.step()
        if self.plan.average_decay:
            self._update_average(self._epoch * self.plan.steps_per_epoch + self._step + 1)
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        # A young average forgets its random start sooner.
        decay = min(self.plan.average_decay, (1 + step) / (10 + step))
        for kept, new in zip(
            self.average.state_dict().values(), self.network.state_dict().values(), strict=True
        ):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def _finish_epoch(self, bar: TrainingProgress, loss: float, seconds: float) -> None:
        self.average.eval()
        scores = self._lesson.evaluate(self.average)
        self.history.seconds += seconds
        row = {"epoch": float(self._epoch), "loss": loss, "seconds": round(seconds, 1), **scores}
        self.history.rows.append(row)
        # Few validation items often tie: then the network that is surer of them is better.
        score = (scores[self.plan.metric], -scores.get("validation_loss", 0.0))
        if self._best is None or score > self._best[0]:
            weights = {k: v.detach().cpu().clone() for k, v in self.average.state_dict().items()}
            self._best, self._stale = (score, weights), 0
        else:
            self._stale += 1
        self._save()
        with (self._folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        bar.report(row)

    @property
    def _checkpoint(self) -> Path:
        return self._folder / "checkpoint.pt"

    def _save(self) -> None:
        state = {
            "epoch": self._epoch,
            "step": self._step,
            "stale": self._stale,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "best_score": self._best[0] if self._best else None,
            "best": self._best[1] if self._best else None,
            "optimizers": [optimizer.state_dict() for optimizer in self.stepper.optimizers],
            "rows": self.history.rows,
            "seconds": self.history.seconds,
            "spent_s": self._spent_s,
            "loss_sum": self._loss_sum,
            "counted": self._counted,
            "random": random_state(),
        }
        partial = self._checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._checkpoint)  # a kill while writing leaves the old one whole

    def _resume(self) -> None:
        if not self._checkpoint.exists():
            return
        state = torch.load(self._checkpoint, weights_only=True, map_location="cpu")
        self._epoch, self._step, self._stale = state["epoch"], state["step"], state["stale"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        if state["best"] is not None:
            self._best = (state["best_score"], state["best"])
        for optimizer, saved in zip(self.stepper.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.history = History(state["rows"], state["seconds"])
        self._spent_s = state.get("spent_s", 0.0)  # older checkpoints lack this and the next two
        self._loss_sum, self._counted = state.get("loss_sum", 0.0), state.get("counted", 0)
        set_random_state(state["random"])


Schedule = Callable[[float], float]


def one_after_another(schedules: Sequence[tuple[Schedule, float]]) -> Schedule:
    """Each over its part of training, from 0 to 1; lengths are in any unit."""
    ends = list(accumulate(length for _, length in schedules))

    def factor(done: float) -> float:
        at = min(done * ends[-1], ends[-1])
        turn = next((i for i, end in enumerate(ends) if at < end), len(ends) - 1)
        schedule, length = schedules[turn]
        return schedule((at - ends[turn] + length) / length)

    return factor


def warm_up_then_decay(warm_up: float, final: float, peak: float = 1.0) -> Schedule:
    """Rises linearly to `peak` over the first share `warm_up`, then falls linearly to the share
    `final` of it."""

    def factor(done: float) -> float:
        if done < warm_up:
            return peak * done / warm_up
        return peak * (1 - (1 - final) * (done - warm_up) / (1 - warm_up))

    return factor

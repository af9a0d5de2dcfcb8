"""Which weights a training run ends with: the best, or their average, and when it stops."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from export.training import (
    History,
    Lesson,
    Plan,
    Scores,
    Stepper,
    Trainer,
)
from tests.export.toy_training import (
    STEPS,
    Killed,
    assert_equal,
    batches,
    batches_until,
    evaluate,
    loss,
    network,
    stepper,
    weights,
)


class Scripted:
    """Validation scores in a fixed order, and the weights that were judged."""

    def __init__(self, *scores: float, losses: Sequence[float] = ()) -> None:
        self._scores = iter(scores)
        self._losses = iter(losses)
        self.judged: list[dict[str, Tensor]] = []

    def __call__(self, network: nn.Module) -> Scores:
        self.judged.append({name: v.clone() for name, v in network.state_dict().items()})
        loss = next(self._losses, None)
        known = {} if loss is None else {"validation_loss": loss}
        return {"accuracy": next(self._scores), **known}


def scripted(folder: Path, scores: Scripted, **fields: Any) -> tuple[Trainer, History]:
    made = network()
    plan = Plan(epochs=8, steps_per_epoch=STEPS, **fields)
    trained = Trainer(made, plan, stepper(made), Lesson(batches, loss, scores), folder, "test")
    return trained, trained.run()


def test_training_stops_when_nothing_got_better_for_so_many_epochs(tmp_path: Path) -> None:
    _, history = scripted(tmp_path, Scripted(0.5, 0.7, 0.6, 0.65, 0.7, 0.9, 0.9, 0.9), patience=3)
    assert history.column("accuracy") == [0.5, 0.7, 0.6, 0.65, 0.7]


def test_without_patience_all_epochs_run(tmp_path: Path) -> None:
    _, history = scripted(tmp_path, Scripted(0.9, *[0.1] * 7))
    assert len(history.rows) == 8


def test_the_best_weights_are_kept_not_the_last(tmp_path: Path) -> None:
    scores = Scripted(0.5, 0.6, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
    trained, _ = scripted(tmp_path, scores)
    assert_equal(weights(trained), scores.judged[2])


def test_of_equals_the_surer_network_is_kept(tmp_path: Path) -> None:
    losses = (2.0, 0.5, 0.7, 0.3, 0.3, 0.1, 0.4, 0.2)
    scores = Scripted(0.5, 0.9, 0.9, 0.9, 0.9, 0.8, 0.9, 0.7, losses=losses)
    trained, _ = scripted(tmp_path, scores)
    assert_equal(weights(trained), scores.judged[3])


def test_the_best_weights_survive_a_kill(tmp_path: Path) -> None:
    first = Scripted(0.5, 0.9, 0.6)
    made = network()
    lesson = Lesson(batches_until((3, 2)), loss, first)
    plan = Plan(epochs=8, steps_per_epoch=STEPS)
    with pytest.raises(Killed):
        Trainer(made, plan, stepper(made), lesson, tmp_path, "test").run()
    trained, history = scripted(tmp_path, Scripted(*[0.7] * 5))
    assert_equal(weights(trained), first.judged[1])
    assert history.column("accuracy") == [0.5, 0.9, 0.6, *[0.7] * 5]


def test_patience_counts_on_after_a_kill(tmp_path: Path) -> None:
    made = network()
    lesson = Lesson(batches_until((2, 2)), loss, Scripted(0.9, 0.5))
    plan = Plan(epochs=8, steps_per_epoch=STEPS, patience=2)
    with pytest.raises(Killed):
        Trainer(made, plan, stepper(made), lesson, tmp_path, "test").run()
    _, history = scripted(tmp_path, Scripted(0.6, 0.6), patience=2)
    assert len(history.rows) == 3


def drift(folder: Path, decay: float) -> tuple[list[float], float]:
    """One weight that every step moves by one, from zero; judged weights, and the last raw one."""
    made = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(made.weight)
    judged: list[float] = []

    def look(network: nn.Module) -> Scores:
        judged.append(float(network.get_parameter("weight").detach()))
        return {"accuracy": float(len(judged))}

    sgd = torch.optim.SGD(made.parameters(), lr=1.0)
    plan = Plan(epochs=2, steps_per_epoch=STEPS, average_decay=decay)
    lesson = Lesson(batches, lambda network, _: -network.get_parameter("weight").sum(), look)
    trained = Trainer(made, plan, Stepper((sgd,), lambda _: 1.0), lesson, folder, "test")
    trained.run()
    return judged, float(made.weight.detach())


def test_the_average_lags_behind_and_is_what_is_judged_and_kept(tmp_path: Path) -> None:
    raw, last = drift(tmp_path / "raw", 0.0)
    assert (raw, last) == ([6.0, 12.0], 12.0)
    expected, average = [], 0.0
    for step in range(1, 13):
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * step
        if step % STEPS == 0:
            expected.append(average)
    judged, kept = drift(tmp_path / "average", 0.5)
    assert judged == pytest.approx(expected, rel=1e-5)
    assert kept == judged[-1]


def test_counters_of_a_batch_norm_are_copied_not_averaged(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    plan = Plan(epochs=1, steps_per_epoch=STEPS, average_decay=0.9)
    sgd = torch.optim.SGD(made.parameters(), lr=0.1)
    lesson = Lesson(batches, loss, evaluate)
    Trainer(made, plan, Stepper((sgd,), lambda _: 1.0), lesson, tmp_path, "test").run()
    assert int(made[1].get_buffer("num_batches_tracked")) == STEPS

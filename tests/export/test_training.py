"""The training loop, on networks of a few numbers."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from export.optimizers import Muon
from export.training import (
    History,
    Lesson,
    NothingLearnt,
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


def test_a_network_learns(tmp_path: Path) -> None:
    trained = trainer(tmp_path, epochs=8)
    before = evaluate(trained.network.eval())["accuracy"]
    history = trained.run()
    assert len(history.rows) == 8
    assert history.rows[-1]["loss"] < 0.7 * history.rows[0]["loss"]
    after = evaluate(trained.network.eval())["accuracy"]
    assert after > max(before, 0.9)


@pytest.mark.parametrize("kill", [(0, 1), (0, 4), (1, 0), (2, 3), (2, 5)], ids=str)
def test_a_run_that_was_killed_ends_with_the_very_weights_of_one_that_was_not(
    tmp_path: Path, kill: tuple[int, int]
) -> None:
    whole = trainer(tmp_path / "whole")
    expected = whole.run()
    with pytest.raises(Killed):
        trainer(tmp_path / "killed", batches_until(kill)).run()
    torch.manual_seed(12345)  # a new process has other chances
    resumed = trainer(tmp_path / "killed")
    history = resumed.run()
    assert_equal(weights(resumed), weights(whole))
    assert history.column("accuracy") == expected.column("accuracy")
    assert history.column("epoch") == [1, 2, 3]


def test_a_run_killed_twice_ends_the_same_too(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole")
    whole.run()
    for kill in ((0, 3), (2, 1)):
        with pytest.raises(Killed):
            trainer(tmp_path / "killed", batches_until(kill)).run()
    resumed = trainer(tmp_path / "killed")
    resumed.run()
    assert_equal(weights(resumed), weights(whole))


def test_a_resumed_run_repeats_no_step(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        trainer(tmp_path, batches_until((1, 3))).run()
    seen: list[tuple[int, int]] = []

    def counting_loss(network: nn.Module, batch: Batch) -> Tensor:
        epoch_step = next(
            (epoch, step)
            for epoch in range(3)
            for step, other in enumerate(batches(epoch))
            if torch.equal(other[0], batch[0])
        )
        seen.append(epoch_step)
        return loss(network, batch)

    made = network()
    plan = Plan(epochs=3, steps_per_epoch=STEPS, seed=5, average_decay=0.8, clip=1.0)
    Trainer(made, plan, stepper(made), Lesson(batches, counting_loss, evaluate), tmp_path, "").run()
    assert seen == [(1, s) for s in range(3, STEPS)] + [(2, s) for s in range(STEPS)]


def test_the_time_of_a_run_that_was_stopped_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0

    def slowly(kill: tuple[int, int]) -> Batches:
        def given(epoch: int) -> Iterator[Batch]:
            nonlocal now_s
            for batch in batches_until(kill)(epoch):
                now_s += 10.0
                yield batch

        return given

    monkeypatch.setattr("export.training.time.monotonic", lambda: now_s)
    with pytest.raises(Killed):
        trainer(tmp_path, slowly((1, 3))).run()
    history = trainer(tmp_path, slowly((9, 9))).run()
    # to skip the three steps that it had takes time too
    assert history.column("seconds") == [60.0, 90.0, 60.0]
    assert history.seconds == 210.0


def test_the_loss_of_an_epoch_that_was_stopped_is_that_of_all_its_steps(tmp_path: Path) -> None:
    def run(*losses: float) -> History:
        made = nn.Linear(1, 1)

        def given(epoch: int) -> Iterator[float]:
            yield from (2.0,) * 4 if epoch else losses
            if len(losses) < 4:
                raise Killed

        def told(network: nn.Module, value: float) -> Tensor:
            return 0 * network(torch.ones(1)).sum() + value

        lesson = Lesson(given, told, lambda _: {"accuracy": 1.0})
        plan = Plan(epochs=2, steps_per_epoch=4, checkpoint_every_s=-1.0)
        stepper = Stepper((torch.optim.SGD(made.parameters(), lr=0.1),), lambda _: 1.0)
        return Trainer(made, plan, stepper, lesson, tmp_path, "test").run()

    with pytest.raises(Killed):
        run(10.0, 10.0, 10.0)
    assert run(10.0, 10.0, 10.0, 1.0).column("loss") == [7.75, 2.0]


def test_what_is_only_loaded_is_neither_trained_nor_written(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        trainer(tmp_path, batches_until((1, 3))).run()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    best = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["best"]

    def never(_: int) -> Iterator[Batch]:
        raise AssertionError("a step of a run that is only loaded")

    loaded = trainer(tmp_path, never, epochs=9, only_load=True)
    assert loaded.run().column("epoch") == [1]
    assert_equal(weights(loaded), best)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("started", [True, False])
def test_before_its_first_epoch_is_done_a_run_has_nothing_to_load(
    tmp_path: Path, started: bool
) -> None:
    if started:
        with pytest.raises(Killed):
            trainer(tmp_path / "run", batches_until((0, 3))).run()
    with pytest.raises(NothingLearnt, match=r"run/checkpoint\.pt holds no finished epoch"):
        trainer(tmp_path / "run", only_load=True).run()
    assert (tmp_path / "run").exists() == started


def test_a_finished_run_trains_no_more(tmp_path: Path) -> None:
    first = trainer(tmp_path)
    first.run()

    def never(_: int) -> Iterator[Batch]:
        raise AssertionError("a step too many")

    second = trainer(tmp_path, never)
    assert len(second.run().rows) == 3
    assert_equal(weights(second), weights(first))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    found = []
    for place, seed in enumerate((5, 5, 6)):
        trained = trainer(tmp_path / str(place), seed=seed, epochs=1)
        trained.run()
        found.append(weights(trained))
    assert_equal(found[0], found[1])
    assert not all(torch.equal(found[0][name], found[2][name]) for name in found[0])


def test_a_kill_while_the_checkpoint_is_written_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        trainer(tmp_path, batches_until((0, 3))).run()
    (tmp_path / "checkpoint.partial").write_bytes(b"half of a file")
    assert len(trainer(tmp_path).run().rows) == 3
    assert not (tmp_path / "checkpoint.partial").exists()


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


def test_gradients_are_clipped(tmp_path: Path) -> None:
    made = nn.Linear(1, 1, bias=False)
    before = float(made.weight.detach())
    sgd = torch.optim.SGD(made.parameters(), lr=1.0)
    plan = Plan(epochs=1, steps_per_epoch=1, clip=0.25)

    def steep(network: nn.Module, _: Batch) -> Tensor:
        return 1e6 * network.get_parameter("weight").sum()

    lesson = Lesson(batches, steep, lambda _: {"accuracy": 1.0})
    Trainer(made, plan, Stepper((sgd,), lambda _: 1.0), lesson, tmp_path, "test").run()
    assert before - float(made.weight.detach()) == pytest.approx(0.25, rel=1e-3)


def test_every_epoch_is_logged_as_a_line(tmp_path: Path) -> None:
    history = trainer(tmp_path).run()
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history.rows
    assert {"epoch", "loss", "seconds", "accuracy"} <= history.rows[0].keys()
    assert history.seconds > 0


def test_rates_rise_then_fall_along_the_whole_training(tmp_path: Path) -> None:
    made = network()
    sgd = torch.optim.SGD(made.parameters(), lr=2.0)
    rates: list[float] = []

    def watching_loss(network: nn.Module, batch: Batch) -> Tensor:
        rates.append(sgd.param_groups[0]["lr"])
        return 0 * loss(network, batch)

    plan = Plan(epochs=2, steps_per_epoch=STEPS)
    stepper = Stepper((sgd,), warm_up_then_decay(0.25, 0.1))
    Trainer(made, plan, stepper, Lesson(batches, watching_loss, evaluate), tmp_path, "test").run()
    factor = warm_up_then_decay(0.25, 0.1)
    assert rates == pytest.approx([2.0 * factor(step / 12) for step in range(12)])
    assert max(rates) == rates[3] == 2.0


def test_a_history_gives_the_column_of_a_score() -> None:
    history = History([{"a": 1.0}, {"b": 2.0}, {"a": 3.0}])
    assert history.column("a") == [1.0, 3.0]

"""The training loop, on networks of a few numbers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from export.training import (
    History,
    Lesson,
    NothingLearnt,
    Plan,
    Stepper,
    Trainer,
    warm_up_then_decay,
)
from tests.export.toy_training import (
    STEPS,
    Batch,
    Batches,
    Killed,
    assert_equal,
    batches,
    batches_until,
    evaluate,
    loss,
    network,
    stepper,
    trainer,
    weights,
)


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

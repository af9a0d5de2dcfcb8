"""The search for better settings, on a machine that exists as a function."""

import asyncio
from collections.abc import Mapping

import pytest

from service.load.tuning import Knob, Trial, Tuning, score, tune

KNOBS = [Knob("threads", [1, 2]), Knob("batch", [4, 8, 16])]
START = {"threads": 1, "batch": 4}


def search(rates: dict[tuple[int, int], float], start: Mapping[str, int] = START) -> Tuning:
    """`rates` by threads and batch; all others can do 100."""

    async def measure(settings: Mapping[str, int]) -> dict[str, float]:
        return {"task": rates.get((settings["threads"], settings["batch"]), 100.0)}

    return asyncio.run(tune(measure, start, KNOBS))


def test_knobs_are_turned_one_after_another() -> None:
    found = search({(2, 4): 150.0, (2, 8): 180.0, (2, 16): 170.0})
    assert found.best.settings == {"threads": 2, "batch": 8}
    assert found.best.score == pytest.approx(1.8)
    tried = [(trial.settings["threads"], trial.settings["batch"]) for trial in found.trials]
    assert tried == [(1, 4), (2, 4), (2, 8), (2, 16)]


def test_what_gains_too_little_is_not_kept() -> None:
    assert search({(2, 4): 102.0, (1, 8): 102.0}).best.settings == START


def test_a_gain_that_does_not_last_is_not_believed() -> None:
    """A rate measured while the machine was faster."""
    seen: list[dict[str, int]] = []

    async def measure(settings: Mapping[str, int]) -> dict[str, float]:
        seen.append(dict(settings))
        first_time = seen.count(dict(settings)) == 1
        return {"task": 150.0 if first_time and settings["threads"] == 2 else 100.0}

    found = asyncio.run(tune(measure, START, KNOBS[:1]))
    assert found.best.settings == START
    assert len(found.checks) == 2
    assert found.gain == pytest.approx(1.0)


def test_the_gain_is_that_of_the_checks() -> None:
    assert search({(2, 4): 150.0}).gain == pytest.approx(1.5)


def test_nothing_is_checked_where_nothing_is_better() -> None:
    found = search({})
    assert (found.checks, found.gain) == ([], 1.0)


def test_a_score_weighs_all_tasks_alike() -> None:
    reference = {"a": 100.0, "b": 10.0}
    assert score({"a": 200.0, "b": 5.0}, reference) == pytest.approx(1.0)
    assert score({"a": 200.0, "b": 20.0}, reference) == pytest.approx(2.0)


def test_settings_that_fail_a_task_are_worth_nothing() -> None:
    assert score({"a": 500.0, "b": 0.0}, {"a": 100.0, "b": 10.0}) == 0.0


def test_every_trial_is_told() -> None:
    told: list[Trial] = []

    async def measure(_: Mapping[str, int]) -> dict[str, float]:
        return {"task": 1.0}

    asyncio.run(tune(measure, START, KNOBS, tell=told.append))
    assert len(told) == 4

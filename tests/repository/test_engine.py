"""One batch through a model, with parts that fail at each stage. No ONNX Runtime."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.errors import Cancelled, InferenceFailed, InvalidInput
from service.metrics import Metrics
from service.repository.live import Engine
from service.runtime.session import Abort


class Task:
    """Text to its length and back; some texts fail."""

    def split(self, raw: str) -> list[str]:
        return raw.split()

    def cost(self, part: str) -> int:
        return 1

    def least_cost(self, raw: str) -> int:
        return 1

    def is_quick(self, part: str) -> bool:
        return True

    def prepare(self, part: str) -> str:
        return part

    def preprocess(self, part: str) -> int:
        if part == "unreadable":
            raise InvalidInput("Send something else.")
        if part == "bug":
            raise KeyError(part)
        return len(part)

    def postprocess(self, features: int, row: int) -> str:
        if row == 13:
            raise InferenceFailed("An unlucky row.")
        return f"{features}:{row}"

    def join(self, raw: str, predictions: Sequence[str]) -> str:
        return " ".join(predictions)


class Withdrawn:
    """An abort that is set after so many looks."""

    def __init__(self, looks: int) -> None:
        self._looks = looks

    def is_set(self) -> bool:
        self._looks -= 1
        return self._looks < 0


class Runner:
    """Ten more than the feature."""

    def __init__(self, lost_rows: int = 0) -> None:
        self.batches: list[list[int]] = []
        self.aborts: list[Any] = []
        self._lost_rows = lost_rows

    @property
    def placement(self) -> Mapping[str, int]:
        return {}

    def check(self, features: int) -> None:
        if features > 9:
            raise InvalidInput("Too long.")

    def run(self, features: Sequence[int], abort: Any = None) -> Sequence[int]:
        self.batches.append(list(features))
        self.aborts.append(abort)
        return [found + 10 for found in features][self._lost_rows :]

    def close(self) -> None:
        return None


def make_engine(runner: Runner) -> tuple[Engine, CollectorRegistry]:
    registry = CollectorRegistry()
    metrics = Metrics.create(registry).model("m", 1)
    return Engine(Task(), runner, metrics, "tokenize"), registry


def test_answers_come_in_the_order_of_the_parts() -> None:
    engine, _ = make_engine(Runner())
    assert engine.predict_batch(["a", "four", "xx"]) == ["1:11", "4:14", "2:12"]


def test_a_run_is_handed_the_means_to_stop_it() -> None:
    runner = Runner()
    engine, _ = make_engine(runner)
    abort = Abort()
    engine.predict_batch(["a"], abort)
    engine.predict_batch(["a"])
    assert runner.aborts == [abort, None]


def test_a_part_that_fails_costs_its_neighbours_nothing() -> None:
    runner = Runner()
    engine, _ = make_engine(runner)
    parts = ["a", "unreadable", "xx", "bug", "x" * 20, "xxx"]
    answers = engine.predict_batch(parts)
    kinds = [str if isinstance(a, str) else type(a) for a in answers]
    assert kinds == [str, InvalidInput, str, KeyError, InvalidInput, InferenceFailed]
    assert runner.batches == [[1, 2, 3]]


def test_when_no_part_can_be_read_nothing_runs() -> None:
    runner = Runner()
    engine, _ = make_engine(runner)
    assert isinstance(engine.predict_batch(["unreadable"])[0], InvalidInput)
    assert runner.batches == []


def test_a_row_that_is_missing_fails_the_batch() -> None:
    engine, _ = make_engine(Runner(lost_rows=1))
    with pytest.raises(InferenceFailed, match="1 rows for 2 items"):
        engine.predict_batch(["a", "b"])


def test_each_stage_is_timed() -> None:
    engine, registry = make_engine(Runner())
    engine.predict_batch(["a"])
    for stage in ("tokenize", "inference", "postprocess"):
        labels = {"model": "m", "stage": stage}
        assert registry.get_sample_value("slipway_stage_duration_seconds_count", labels) == 1


def test_a_batch_that_nobody_waits_for_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    monkeypatch.setattr(Task, "preprocess", lambda self, part: read.append(part))
    runner = Runner()
    engine, _ = make_engine(runner)
    with pytest.raises(Cancelled):
        engine.predict_batch(["a", "b", "c"], Withdrawn(looks=2))  # type: ignore[arg-type]
    assert (read, runner.batches) == (["a", "b"], [])

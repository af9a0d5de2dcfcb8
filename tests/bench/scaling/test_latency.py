"""The file of measured times, and what lies between them."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.scaling.latency import LatencyTable, read_latencies

TABLE: dict[str, Any] = {
    "provider": "cpu",
    "workers": 2,
    "batches": (1, 4),
    "lengths": (10, 20),
    "seconds": ((1.0, 2.5), (2.0, 5.0)),
    "shares": (0.5, 0.5),
}


def test_between_two_measured_sizes_lies_a_straight_line_and_beyond_the_last_the_same() -> None:
    grid = LatencyTable(**TABLE).by_size(5)
    assert grid == [[0.0, 1.0, 1.5, 2.0, 2.5, 3.0], [0.0, 2.0, 3.0, 4.0, 5.0, 6.0]]


def test_a_single_measured_size_says_what_one_item_takes() -> None:
    only = LatencyTable(**{**TABLE, "batches": (1,), "seconds": ((1.0,), (2.0,))})
    assert only.by_size(3) == [[0.0, 1.0, 2.0, 3.0], [0.0, 2.0, 4.0, 6.0]]


def test_capacity_is_that_of_the_best_batches() -> None:
    table = LatencyTable(**{**TABLE, "seconds": ((1.0, 2.0), (2.0, 9.0))})
    # half of the items take 0.5 s in batches of four, the others 2 s alone
    assert table.capacity(3, 4) == pytest.approx(3 / 1.25)
    assert table.capacity(3, 1) == pytest.approx(3 / 1.5)


def test_the_server_would_learn_the_same_times() -> None:
    learnt = LatencyTable(**TABLE).model()
    assert learnt.seconds(4, 20) == pytest.approx(5.0, rel=0.1)
    assert learnt.seconds(1, 10) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"batches": (2, 4)}, "begin with 1"),
        ({"batches": (1, 1)}, "must increase"),
        ({"lengths": (20, 10)}, "must increase"),
        ({"seconds": ((1.0, 2.0),)}, "a row a length"),
        ({"seconds": ((1.0, 2.0), (1.0,))}, "a row a length"),
        ({"seconds": ((1.0, 2.0), (1.0, 0.0))}, "more than 0"),
        ({"shares": (0.5, 0.4)}, "add up to 1"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        LatencyTable(**{**TABLE, **change})


def test_a_file_that_is_missing_or_wrong_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"bench\.scaling measure"):
        read_latencies(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(SystemExit, match="no table"):
        read_latencies(tmp_path / "bad.json")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    whole = {"machine": "m", "created": "now", "command": "c", "models": {"a": TABLE}}
    (tmp_path / "good.json").write_text(json.dumps(whole))
    assert read_latencies(tmp_path / "good.json").models["a"] == LatencyTable(**TABLE)

"""When requests are due."""

import statistics
from itertools import pairwise
from pathlib import Path

import pytest

from service.load.errors import LoadError
from service.load.schedule import poisson, read_trace


def test_arrivals_are_poisson() -> None:
    times = poisson(100.0, 200.0)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) / 200 == pytest.approx(100.0, rel=0.03)
    # of exponential gaps, mean and deviation are the same
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)
    assert all(0 <= at_s < 200.0 for at_s in times)


def test_a_seed_gives_the_same_arrivals_again() -> None:
    assert poisson(10.0, 5.0, seed=3) == poisson(10.0, 5.0, seed=3)
    assert poisson(10.0, 5.0, seed=3) != poisson(10.0, 5.0, seed=4)


def test_a_trace_begins_at_its_first_time(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("# when\n10.5\n\n10.5  # twice\n12\n")
    assert read_trace(trace) == [0.0, 0.0, 1.5]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\nsoon\n", ":2: 'soon'"),
        ("1\n-1\n", ":2: '-1'"),
        ("nan\n", ":1: 'nan'"),
        ("2\n1\n", "must not decrease"),
        ("# nothing\n", "holds no times"),
    ],
)
def test_a_wrong_trace_is_told_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    trace = tmp_path / "trace"
    trace.write_text(text)
    with pytest.raises(LoadError, match=said):
        read_trace(trace)


def test_a_trace_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="cannot be read"):
        read_trace(tmp_path / "none")

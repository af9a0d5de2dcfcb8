"""A line of the table of figures, and the page that shows them."""

from pathlib import Path

import pytest

from bench.report import markdown, write
from bench.row import Row, Sense


@pytest.mark.parametrize(
    ("sense", "value", "reached"),
    [
        ("≥", 0.9, True),
        ("≥", 0.89, False),
        ("≤", 0.9, True),
        ("≤", 0.91, False),
        ("=", 0.9, True),
        ("=", 0.91, False),
        ("=", 0.89, False),
    ],
)
def test_an_aim_has_a_direction(sense: Sense, value: float, reached: bool) -> None:
    assert Row("k", "t", value, 0.9, sense=sense).reached is reached


def test_a_row_of_rounds_shows_their_median_and_their_spread() -> None:
    row = Row.of_rounds("k", "t", [0.5, 0.9, 0.8], 0.7)
    assert row.value == 0.8
    assert row.shown == "0.80 (0.50 to 0.90)"
    assert row.wanted == "≥ 0.7"


def test_the_page_tells_what_was_missed() -> None:
    rows = [Row("a", "one", 1.0, 0.5), Row("b", "two | three", 12.5, 20.0, unit=" ms", sense="≥")]
    page = markdown(rows, {"processor": "a fast one"}, "make bench", "plot.svg")
    assert "| one | 1.00 | ≥ 0.5 | reached |  |" in page
    assert "| two \\| three | 12.50 ms | ≥ 20 ms | **missed** |  |" in page
    assert "* processor: a fast one" in page


def test_the_files_are_page_plot_and_data(tmp_path: Path) -> None:
    paths = write([Row("a", "one", 1.0, 0.5)], {}, "make bench", tmp_path / "found" / "2026-01-01")
    assert [path.name for path in paths] == ["2026-01-01.md", "2026-01-01.svg", "2026-01-01.json"]
    assert "2026-01-01.svg" in paths[0].read_text()
    assert '"reached": true' in paths[2].read_text()

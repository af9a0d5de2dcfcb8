"""Plots: what is in the picture, and where."""

import re
from xml.etree import ElementTree

import pytest

from service.load.svg import Bar, Line, bar_chart, line_chart

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return [one.text or "" for one in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def curves(picture: str) -> list[list[tuple[float, float]]]:
    lines = ElementTree.fromstring(picture).iter(f"{SVG}polyline")
    return [
        [(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", line.attrib["points"])]
        for line in lines
    ]


def test_a_higher_value_is_drawn_higher_and_a_decade_is_a_decade() -> None:
    picture = line_chart("t", "x", "y", [Line("a", [(0, 1), (10, 10), (20, 100)])])
    ((_, low), (_, middle), (_, high)) = curves(picture)[0]
    assert low > middle > high
    assert low - middle == pytest.approx(middle - high, abs=0.2)


def test_loads_are_spread_evenly() -> None:
    (points,) = curves(line_chart("t", "x", "y", [Line("a", [(10, 1), (20, 1), (30, 1)])]))
    assert points[1][0] - points[0][0] == pytest.approx(points[2][0] - points[1][0], abs=0.2)


def test_every_line_is_named_and_so_is_the_objective() -> None:
    picture = line_chart("<t>", "per s", "ms", [Line("p50", [(1, 1)]), Line("p99", [(1, 5)])], 50)
    assert {"<t>", "per s", "ms", "p50", "p99", "objective"} <= set(texts(picture))


def test_a_plot_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to plot"):
        line_chart("t", "x", "y", [])


def test_bars_are_as_long_as_their_values() -> None:
    picture = bar_chart("t", [Bar("a", 1.0), Bar("b", 0.25, "(slow)", ours=True)])
    rows = list(ElementTree.fromstring(picture).iter(f"{SVG}rect"))[1:]
    first, second = (float(row.attrib["width"]) for row in rows)
    assert second == pytest.approx(first / 4, abs=0.1)
    assert "0.25 (slow)" in texts(picture)

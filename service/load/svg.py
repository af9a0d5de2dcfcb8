"""Plots as plain SVG, without a plotting library: lines on a logarithmic scale, and bars."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 40, 50
COLOURS = ("#1f6feb", "#d1242f", "#2da44e", "#9a6700", "#8250df", "#57606a")
BAR, GAP, NAMES = 22, 12, 250


@dataclass(frozen=True, slots=True)
class Line:
    """Points in order of x."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Bar:
    """One row; `note` stands behind its value, and ours are coloured."""

    name: str
    value: float
    note: str = ""
    ours: bool = False


def line_chart(
    title: str, x_name: str, y_name: str, lines: Sequence[Line], limit: float | None = None
) -> str:
    """Lines over a linear x and a logarithmic y; `limit` draws a horizontal line."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points] + ([limit] if limit else [])
    if not xs:
        raise ValueError("there is nothing to plot")
    right, low, high = max(xs) * 1.05, *_decades(ys)

    def place(x: float, y: float) -> tuple[float, float]:
        share = (math.log10(max(y, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
        across = LEFT + x / right * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [_text(LEFT, 22, title, bold=True), _text(LEFT, HEIGHT - 12, x_name)]
    parts += [_text(8, TOP - 6, y_name)]
    for y in _log_ticks(low, high):
        x0, at = place(0, y)
        parts += [_rule(x0, at, WIDTH - RIGHT, at, "#d8dee4"), _text(8, at + 4, f"{y:g}")]
    for x in _ticks(right):
        across, at = place(x, low)
        parts += [_rule(across, TOP, across, at, "#eaeef2"), _text(across - 8, at + 18, f"{x:g}")]
    if limit:
        x0, at = place(0, limit)
        parts += [_rule(x0, at, WIDTH - RIGHT, at, "#d1242f", dashed=True)]
        parts += [_text(WIDTH - RIGHT + 6, at + 4, "objective")]
    for number, line in enumerate(lines):
        parts += _curve([place(x, y) for x, y in line.points], line.name, number)
    return _page(WIDTH, HEIGHT, parts)


def bar_chart(title: str, bars: Sequence[Bar]) -> str:
    """Horizontal bars from the top, as long as their value."""
    longest = max((bar.value for bar in bars), default=0.0) or 1.0
    parts = [_text(12, 22, title, bold=True)]
    for number, bar in enumerate(bars):
        top = TOP + number * (BAR + GAP)
        length = bar.value / longest * (WIDTH - NAMES - RIGHT)
        colour = COLOURS[0] if bar.ours else "#afb8c1"
        parts.append(_text(12, top + 15, bar.name, bold=bar.ours))
        parts.append(
            f'<rect x="{NAMES}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>'
        )
        parts.append(_text(NAMES + length + 8, top + 15, f"{bar.value:.2f} {bar.note}".strip()))
    return _page(WIDTH, TOP + len(bars) * (BAR + GAP) + 12, parts)


def _curve(points: Sequence[tuple[float, float]], name: str, number: int) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    key = TOP + 10 + 18 * number
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *dots,
        f'<rect x="{WIDTH - RIGHT + 14}" y="{key - 9}" width="10" height="10" fill="{colour}"/>',
        _text(WIDTH - RIGHT + 30, key, name),
    ]


def _text(x: float, y: float, words: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{weight}>{escape(words)}</text>'


def _rule(x0: float, y0: float, x1: float, y1: float, colour: str, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    return (
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}"{dash}/>'
    )


def _page(width: float, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#24292f">'
    )
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join((head, ground, *parts, "</svg>", ""))


def _decades(values: Sequence[float]) -> tuple[float, float]:
    """Powers of ten around the values."""
    low = math.floor(math.log10(max(min(values), 1e-6)))
    return 10.0**low, 10.0 ** max(math.ceil(math.log10(max(max(values), 1e-6))), low + 1)


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = round(math.log10(low)), round(math.log10(high))
    return [10.0**power for power in range(first, last + 1)]


def _ticks(right: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10(right / 2))
    step *= 5 if right / step > 20 else 2 if right / step > 8 else 1
    return [number * step for number in range(int(right / step) + 1)]

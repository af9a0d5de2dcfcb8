"""The rows as a table for the terminal, a page for the repository and a plot."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.row import Row
from service.load.svg import Bar, bar_chart


def terminal_table(rows: Sequence[Row]) -> Table:
    """One line a row."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("what", "measured", "aim", "", "detail"):
        table.add_column(title)
    for row in rows:
        mark = "[green]reached[/]" if row.reached else "[red]missed[/]"
        table.add_row(row.title, row.shown, row.wanted, mark, row.detail)
    return table


def markdown(rows: Sequence[Row], machine: Mapping[str, str], command: str, plot: str) -> str:
    """A page that stands for itself."""
    lines = [f"# Benchmark of {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC", ""]
    lines += [f"* {name}: {value}" for name, value in machine.items()]
    lines += [f"* command: `{command}`", ""]
    lines += [
        "The service runs on one core and the load on another unless a row says otherwise. Both",
        "sides of a ratio take turns; a row shows the median of its rounds, then the least and the",
        "most.",
        "",
        f"![measured ÷ aim]({plot})",
        "",
        "| what | measured | aim | | detail |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        mark = "reached" if row.reached else "**missed**"
        cells = (row.title, row.shown, row.wanted, mark, row.detail)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join((*lines, ""))


def plot(rows: Sequence[Row]) -> str:
    """How far each ratio is from its aim; 1 and more has reached it."""
    bars = [
        Bar(row.key, _share(row), f"({row.shown})", ours=row.reached)
        for row in rows
        if row.value > 0
    ]
    return bar_chart("measured ÷ aim (where less is better: aim ÷ measured)", bars)


def _share(row: Row) -> float:
    share = row.aim / row.value if row.sense == "≤" else row.value / row.aim
    return min(share, 2.5)


def dated(folder: Path, suffix: str) -> Path:
    """The files of a run of today, without their endings."""
    return folder / f"{time.strftime('%Y-%m-%d', time.gmtime())}{suffix}"


def write(rows: Sequence[Row], machine: Mapping[str, str], command: str, stem: Path) -> list[Path]:
    """`stem`.md, .svg and .json."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    page, picture, data = (stem.with_suffix(suffix) for suffix in (".md", ".svg", ".json"))
    picture.write_text(plot(rows), "utf-8")
    page.write_text(markdown(rows, machine, command, picture.name), "utf-8")
    content: dict[str, Any] = {"machine": dict(machine), "rows": [row.as_json() for row in rows]}
    data.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    return [page, picture, data]

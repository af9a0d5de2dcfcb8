"""Tables: whole rows for whatever reads a pipe, and no name cut off for who reads a terminal."""

import io
import sys
from collections.abc import Collection, Sequence

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Column, Table

WHOLE = 10_000  # columns: longer than any row
ROOM = 24  # columns for what folds: fewer make a ribbon of it


def make_table(titles: Sequence[str], *, right: Collection[str] = (), folds: str = "") -> Table:
    """An empty table; only the column `folds` breaks its cells into lines."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(
            title,
            justify="right" if title in right else "left",
            no_wrap=title != folds,
            overflow="fold",
        )
    return table


def show(table: Table, instead: RenderableType | None = None) -> None:
    """Print it. A terminal too narrow for it gets `instead`, or breaks the rows by itself."""
    if not sys.stdout.isatty():
        file = io.StringIO()
        Console(file=file, width=WHOLE, force_terminal=False).print(table)
        sys.stdout.writelines(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())
        sys.stdout.flush()
        return
    (width, height), least = Console().size, sum(map(_least, table.columns))
    if instead is not None and width < least:
        Console().print(instead)
    else:  # a width alone does not count where TERM is dumb
        Console(width=max(width, least), height=height).print(table)


def _least(column: Column) -> int:
    """The width below which words would be cut, with the gap to the next column."""
    wide = Console(width=WHOLE, force_terminal=False)
    cells = (column.header, *column.cells)
    widest = max(Measurement.get(wide, wide.options, cell).maximum for cell in cells)
    return 2 + (widest if column.no_wrap else min(widest, ROOM))

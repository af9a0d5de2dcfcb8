"""Lines and tab-separated rows of a text file, packed or not; errors name the file and line."""

import gzip
import lzma
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from export.datasets.errors import DatasetUnreadable

PACKINGS = ("", ".xz", ".gz")


def first_existing(folder: Path, *names: str) -> Path | None:
    """The first of these files that is there, plain or packed."""
    for name in names:
        for packing in PACKINGS:
            path = folder / (name + packing)
            if path.is_file():
                return path
    return None


def lines_of(path: Path) -> Iterator[str]:
    """Each line without its end; only a line feed ends a line, since captions hold odd blanks."""
    number = 0
    try:
        with _open(path) as stream:
            for number, line in enumerate(stream, start=1):  # noqa: B007 - read by the handler
                yield line.rstrip("\r\n")
    except (UnicodeDecodeError, lzma.LZMAError, gzip.BadGzipFile, EOFError) as error:
        raise DatasetUnreadable(f"{path}, after line {number}: {error}") from error


def _open(path: Path) -> TextIO:
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8-sig", newline="\n")
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="\n")
    return path.open(encoding="utf-8-sig", newline="\n")


def columns_of(path: Path, *wanted: str) -> list[list[str]]:
    """The named columns of a tab-separated file with a header, unquoted; one list a column."""
    rows = (line.split("\t") for line in lines_of(path))
    header = next(rows, [])
    absent = [name for name in wanted if name not in header]
    if absent:
        raise DatasetUnreadable(f"{path}: no column {', '.join(absent)} in the header {header}")
    positions = [header.index(name) for name in wanted]
    columns: list[list[str]] = [[] for _ in wanted]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DatasetUnreadable(f"{path}:{number}: {len(row)} fields, the header {len(header)}")
        for column, position in zip(columns, positions, strict=True):
            column.append(row[position])
    return columns


def header_of(path: Path) -> Sequence[str]:
    """The fields of the first line."""
    with suppress(StopIteration):
        return next(lines_of(path)).split("\t")
    return ()

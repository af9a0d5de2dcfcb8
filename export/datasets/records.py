"""The user's text files as records of fields: CSV, TSV and JSONL, plain or packed.

A line that cannot be read becomes a problem with its number; the others go on.
"""

import csv
import gzip
import json
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from export.datasets.errors import DatasetUnreadable
from export.datasets.user_data import DataProblem

DELIMITERS = (",", ";", "\t", "|")
BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
MAX_FIELD_CHARACTERS = 1 << 24
PACKING_SUFFIXES = (".xz", ".gz")


@dataclass(frozen=True, slots=True)
class Record:
    """The fields of one record and the line that it starts on."""

    line: int
    fields: list[str]


Records = Iterator[Record]


def format_of(path: Path) -> str:
    """The file's suffix without its packing: `.csv`, `.tsv`, `.jsonl` …"""
    name = Path(path.name)
    return (Path(name.stem) if name.suffix in PACKING_SUFFIXES else name).suffix.lower()


def text_lines(path: Path, problems: list[DataProblem]) -> Iterator[tuple[int, str | None]]:
    """Each line with its number, without its end; None where the line is not UTF-8."""
    try:
        with _open(path) as stream:
            for number, raw in enumerate(stream, start=1):
                yield number, _decoded(path, number, raw, problems)
    except (OSError, lzma.LZMAError, EOFError) as error:
        raise DatasetUnreadable(f"{path} cannot be read: {error}") from error


def _open(path: Path) -> BinaryIO | gzip.GzipFile | lzma.LZMAFile:
    if path.suffix == ".xz":
        return lzma.open(path)
    if path.suffix == ".gz":
        return gzip.open(path)
    return path.open("rb")


def _decoded(path: Path, number: int, raw: bytes, problems: list[DataProblem]) -> str | None:
    if number == 1 and raw.startswith(BYTE_ORDER_MARKS):
        raise DatasetUnreadable(f"{path} is UTF-16; save it as UTF-8 and try again")
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        problems.append(DataProblem(path, number, f"is not UTF-8: {error.reason}"))
        return None
    return text.rstrip("\r\n")


def tab_separated(path: Path, problems: list[DataProblem]) -> Records:
    """Lines split at tabs; quotes are ordinary characters."""
    for number, line in text_lines(path, problems):
        if line:
            yield Record(number, line.split("\t"))


class _Feed:
    """Hands lines to the CSV reader and remembers the numbers of the present record's lines."""

    def __init__(self, lines: Iterable[tuple[int, str]]) -> None:
        self.record_lines: list[int] = []
        self._lines = iter(lines)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, line = next(self._lines)
        self.record_lines.append(number)
        return line + "\n"


def comma_separated(path: Path, problems: list[DataProblem]) -> Records:
    """CSV with quotes, in which a field may hold line breaks; the delimiter is found by looking."""
    lines = ((number, line) for number, line in text_lines(path, problems) if line is not None)
    first = next(lines, None)
    if first is None:
        return
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    feed = _Feed(chain([first], lines))
    # strict: an open quote is an error, where otherwise it swallows the rest of the file
    reader = csv.reader(feed, delimiter=max(DELIMITERS, key=first[1].count), strict=True)
    while True:
        feed.record_lines.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            start, *lost = feed.record_lines
            problems.append(DataProblem(path, start, f"is not CSV: {error}"))
            # an open quote swallows lines that may each have been a row, so each counts
            reason = f"is lost with the record of line {start}, which is not CSV"
            problems.extend(DataProblem(path, line, reason) for line in lost)
            continue
        if fields:
            yield Record(feed.record_lines[0], fields)


def json_objects(
    path: Path, problems: list[DataProblem]
) -> Iterator[tuple[int, dict[str, object]]]:
    """One JSON object a line, with the line's number."""
    for number, line in text_lines(path, problems):
        if not line:
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(DataProblem(path, number, f"is not JSON: {error}"))
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            problems.append(DataProblem(path, number, "is JSON, but not an object"))

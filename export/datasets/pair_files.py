"""The user's own translations: one tab-separated file, or two files aligned line by line."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from export.datasets.errors import DatasetUnreadable
from export.datasets.records import PACKING_SUFFIXES, Record, tab_separated, text_lines
from export.datasets.rows import SentencePairs
from export.datasets.user_data import (
    MAX_BAD_SHARE,
    DataProblem,
    UserData,
    own_origin,
    require_mostly_good,
)

SOURCE_NAMES = ("source", "src", "from")
TARGET_NAMES = ("target", "tgt", "to", "translation")
TABLE_SUFFIXES = (".tsv", ".tab", ".txt")


@dataclass(frozen=True, slots=True)
class _Pair:
    line: int
    source: str
    target: str


def load_sentence_pairs(
    path: Path,
    aligned_with: Path | None = None,
    *,
    names: tuple[str, str] = ("en", "de"),
    max_bad_share: float = MAX_BAD_SHARE,
) -> UserData[SentencePairs]:
    """Pairs of a TSV, of two aligned files, or of a folder with one file a language.

    `names` are the languages, source first: columns of a TSV are found by them (or by source and
    target), files of a folder by their ending.
    """
    if path.is_dir() and aligned_with is None:
        path, aligned_with = _files_of(path, names)
    files = [path] if aligned_with is None else [path, aligned_with]
    absent = [str(file) for file in files if not file.is_file()]
    if absent:
        raise DatasetUnreadable(f"{' and '.join(absent)}: not a file")
    problems: list[DataProblem] = []
    rows = (
        _table_rows(path, names, problems)
        if aligned_with is None
        else _aligned_rows(path, aligned_with, problems)
    )
    pairs = list(_usable(path, rows, problems))
    require_mostly_good(path, len(pairs), problems, max_bad_share)
    sources, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]
    origin = own_origin(path, files, len(pairs))
    return UserData(SentencePairs(sources, targets, names, (origin,)), tuple(problems))


def _files_of(folder: Path, names: tuple[str, str]) -> tuple[Path, Path]:
    found = [_ending_in(folder, name) for name in names]
    if len(found[0]) != 1 or len(found[1]) != 1:
        raise DatasetUnreadable(
            f"{folder}: looked for one file ending in .{names[0]} and one in .{names[1]}, found "
            f"{[path.name for path in (*found[0], *found[1])]}"
        )
    return found[0][0], found[1][0]


def _ending_in(folder: Path, language: str) -> list[Path]:
    endings = (f".{language}", *(f".{language}{packing}" for packing in PACKING_SUFFIXES))
    return sorted(path for path in folder.iterdir() if path.name.endswith(endings))


def _usable(path: Path, pairs: Iterable[_Pair], problems: list[DataProblem]) -> Iterator[_Pair]:
    for pair in pairs:
        if pair.source.strip() and pair.target.strip():
            yield pair
        else:
            side = "target" if pair.source.strip() else "source"
            problems.append(DataProblem(path, pair.line, f"the {side} sentence is empty"))


def _aligned_rows(first: Path, second: Path, problems: list[DataProblem]) -> Iterator[_Pair]:
    lines = zip_longest(text_lines(first, problems), text_lines(second, problems))
    for number, (source, target) in enumerate(lines, start=1):
        if source is None or target is None:
            shorter = first if source is None else second
            raise DatasetUnreadable(
                f"{shorter} ends after line {number - 1}, the other file goes on: not aligned"
            )
        if source[1] is not None and target[1] is not None:
            yield _Pair(number, source[1], target[1])


def _table_rows(path: Path, names: tuple[str, str], problems: list[DataProblem]) -> Iterator[_Pair]:
    if not path.name.removesuffix(".xz").removesuffix(".gz").endswith(TABLE_SUFFIXES):
        raise DatasetUnreadable(
            f"{path}: sentence pairs are read from {', '.join(TABLE_SUFFIXES)} or two files"
        )
    records = tab_separated(path, problems)
    first = next(records, None)
    if first is None:
        return
    heading = _heading(first.fields, names)
    if heading is None:
        yield from _pairs(path, [first], _by_place(path, first.fields), len(first.fields), problems)
    columns = heading or _by_place(path, first.fields)
    yield from _pairs(path, records, columns, len(first.fields), problems)


def _pairs(
    path: Path,
    records: Iterable[Record],
    columns: tuple[int, int],
    width: int,
    problems: list[DataProblem],
) -> Iterator[_Pair]:
    for record in records:
        if len(record.fields) == width:
            yield _Pair(record.line, record.fields[columns[0]], record.fields[columns[1]])
        else:
            reason = f"has {len(record.fields)} fields, the first line {width}"
            problems.append(DataProblem(path, record.line, reason))


def _heading(fields: Sequence[str], names: tuple[str, str]) -> tuple[int, int] | None:
    folded = [field.strip().casefold() for field in fields]
    sides = ((names[0].casefold(), *SOURCE_NAMES), (names[1].casefold(), *TARGET_NAMES))
    found = [next((folded.index(n) for n in side if n in folded), None) for side in sides]
    source, target = found
    return None if source is None or target is None else (source, target)


def _by_place(path: Path, fields: Sequence[str]) -> tuple[int, int]:
    """Without a heading: two sentences, two and their authors, or id, text, id, text."""
    if len(fields) == 4 and fields[0].isdigit() and fields[2].isdigit():
        return 1, 3
    if len(fields) in (2, 3):
        return 0, 1
    raise DatasetUnreadable(
        f"{path}: looked for columns named by language (or source and target), or two columns "
        f"without a heading; the first line has {len(fields)} fields"
    )

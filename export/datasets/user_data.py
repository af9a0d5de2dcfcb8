"""What loaders of the user's own files share: problems by file and line, and when to give up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from export.datasets.errors import DatasetUnreadable
from export.datasets.sources import KnownDataset, origin_of
from model_zoo.manifest import DatasetSource

T = TypeVar("T")
MAX_BAD_SHARE = 0.1
LEAST_ROWS_A_CLASS = 2
SHOWN = 10


@dataclass(frozen=True, slots=True)
class DataProblem:
    """One row or file that was left out, and why; `line` counts from 1."""

    file: Path
    line: int | None
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class UserData(Generic[T]):
    """The rows that could be read, and the problems of those that could not."""

    rows: T
    problems: tuple[DataProblem, ...]


def describe(problems: Sequence[DataProblem], shown: int = SHOWN) -> str:
    """The problems as lines to print, the first few in full."""
    lines = [str(problem) for problem in problems[:shown]]
    if len(problems) > shown:
        lines.append(f"… and {len(problems) - shown} more")
    return "\n".join(lines)


def require_mostly_good(
    path: Path, good: int, problems: Sequence[DataProblem], max_bad_share: float = MAX_BAD_SHARE
) -> None:
    """Raise DatasetUnreadable when too large a share could not be read, or nothing was there."""
    if not good and not problems:
        raise DatasetUnreadable(f"{path} holds no rows")
    if len(problems) > max_bad_share * (good + len(problems)):
        raise DatasetUnreadable(
            f"{path}: {len(problems)} of {good + len(problems)} rows cannot be used, more than "
            f"{max_bad_share:.0%}:\n{describe(problems)}"
        )


def require_parts(name: str, **parts: int) -> None:
    """Raise DatasetUnreadable when a split, given with its number of rows, came out empty."""
    for part, rows in parts.items():
        if not rows:
            raise DatasetUnreadable(
                f"{name}: too few rows to set some aside for {part}; ten times as many will do"
            )


def class_names(path: Path, labels: Sequence[str]) -> tuple[str, ...]:
    """The distinct labels in order, numbers by value; raises when they cannot be learnt from."""
    counts = Counter(labels)
    names = tuple(sorted(counts, key=_number_or_text))
    if len(names) < 2:
        raise DatasetUnreadable(f"{path}: a classifier needs two classes, found {list(names)}")
    rare = [name for name in names if counts[name] < LEAST_ROWS_A_CLASS]
    if rare:
        raise DatasetUnreadable(
            f"{path}: {len(rare)} of {len(names)} classes have fewer than {LEAST_ROWS_A_CLASS} "
            f"usable rows: {', '.join(map(repr, rare[:SHOWN]))}. Add rows or remove the class; "
            f"if this is a heading, name the columns text and label."
        )
    return names


def _number_or_text(label: str) -> tuple[bool, float, str]:
    try:
        return False, float(label), label
    except ValueError:
        return True, 0.0, label


def own_origin(path: Path, files: Sequence[Path], rows: int) -> DatasetSource:
    """The origin of the user's own files; names the folder or file, never the path to it."""
    name = path.resolve().name
    known = KnownDataset(name, f"own files: {name}", "as its owner states", ())
    return origin_of(known, "all", files, rows)

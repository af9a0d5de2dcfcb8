"""The user's own texts with labels: a CSV, TSV or JSONL file whose columns are found by name."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.datasets.errors import DatasetUnreadable
from export.datasets.records import (
    Record,
    comma_separated,
    format_of,
    json_objects,
    tab_separated,
)
from export.datasets.rows import LabelledTexts
from export.datasets.user_data import (
    MAX_BAD_SHARE,
    DataProblem,
    UserData,
    class_names,
    own_origin,
    require_mostly_good,
)

TEXT_NAMES = (
    "text",
    "sentence",
    "review",
    "content",
    "comment",
    "body",
    "message",
    "tweet",
    "phrase",
    "description",
)
LABEL_NAMES = ("label", "class", "category", "sentiment", "target", "polarity", "emotion", "topic")
LOOKED_FOR = (
    f"a column with the text (named {', '.join(TEXT_NAMES)}) and one with the label "
    f"(named {', '.join(LABEL_NAMES)}), or two columns without a heading"
)
TABLE_FORMATS = {".csv": comma_separated, ".tsv": tab_separated, ".tab": tab_separated}
JSON_FORMATS = (".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Names that the two columns may have; `named` when the user said them."""

    text: tuple[str, ...]
    label: tuple[str, ...]
    named: bool


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    text: str
    label: str


def load_labelled_texts(
    path: Path,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    max_bad_share: float = MAX_BAD_SHARE,
) -> UserData[LabelledTexts]:
    """Texts and labels of one file; columns are named or found, with a heading or without."""
    if not path.is_file():
        raise DatasetUnreadable(f"{path} is not a file; expected a CSV, TSV or JSONL of texts")
    wanted = _Wanted(
        (text_column,) if text_column else TEXT_NAMES,
        (label_column,) if label_column else LABEL_NAMES,
        named=bool(text_column or label_column),
    )
    problems: list[DataProblem] = []
    rows = list(_usable(path, _rows(path, wanted, problems), problems))
    problems.sort(key=lambda problem: problem.line or 0)
    require_mostly_good(path, len(rows), problems, max_bad_share)
    names = class_names(path, [row.label for row in rows])
    positions = {name: position for position, name in enumerate(names)}
    labels = np.array([positions[row.label] for row in rows], dtype=np.int64)
    source = (own_origin(path, [path], len(rows)),)
    texts = LabelledTexts([row.text for row in rows], labels, names, source)
    return UserData(texts, tuple(problems))


def _rows(path: Path, wanted: _Wanted, problems: list[DataProblem]) -> Iterator[_Row]:
    form = format_of(path)
    if form in JSON_FORMATS:
        return _json_rows(path, wanted, problems)
    if form in TABLE_FORMATS:
        return _table_rows(path, list(TABLE_FORMATS[form](path, problems)), wanted, problems)
    known = ", ".join((*TABLE_FORMATS, *JSON_FORMATS))
    raise DatasetUnreadable(f"{path}: the name must end in one of {known} (packed: .xz, .gz)")


def _usable(path: Path, rows: Iterable[_Row], problems: list[DataProblem]) -> Iterator[_Row]:
    for row in rows:
        if not row.text.strip():
            problems.append(DataProblem(path, row.line, "the text is empty"))
        elif not row.label:
            problems.append(DataProblem(path, row.line, "the label is empty"))
        else:
            yield row


def _json_rows(path: Path, wanted: _Wanted, problems: list[DataProblem]) -> Iterator[_Row]:
    keys: tuple[str, str] | None = None
    for line, row in json_objects(path, problems):
        if keys is None:
            heading = list(row)
            text, label = _positions(path, heading, wanted)
            keys = heading[text], heading[label]
        text_value, label_value = row.get(keys[0]), row.get(keys[1])
        if isinstance(text_value, str) and isinstance(label_value, str | int | float):
            yield _Row(line, text_value, str(label_value).strip())
        else:
            reason = f"{keys[0]!r} must be a string, {keys[1]!r} a string or a number"
            problems.append(DataProblem(path, line, reason))


def _table_rows(
    path: Path, records: list[Record], wanted: _Wanted, problems: list[DataProblem]
) -> Iterator[_Row]:
    if not records:
        return
    heading = records[0].fields
    if _has_no_heading(heading, wanted):
        text, label = _guess(records)
    else:
        text, label = _positions(path, heading, wanted)
        records = records[1:]
    for record in records:
        if len(record.fields) == len(heading):
            yield _Row(record.line, record.fields[text], record.fields[label].strip())
        else:
            reason = f"has {len(record.fields)} fields, the first line {len(heading)}"
            problems.append(DataProblem(path, record.line, reason))


def _find(heading: Sequence[str], names: Iterable[str]) -> int | None:
    """Where the first of these names stands in the heading, case ignored."""
    folded = [name.strip().casefold() for name in heading]
    return next((folded.index(n.casefold()) for n in names if n.casefold() in folded), None)


def _has_no_heading(first: Sequence[str], wanted: _Wanted) -> bool:
    if wanted.named or len(first) != 2:
        return False
    return _find(first, wanted.text) is None and _find(first, wanted.label) is None


def _positions(path: Path, heading: Sequence[str], wanted: _Wanted) -> tuple[int, int]:
    """Where text and label stand; of two columns one name is enough."""
    text, label = _find(heading, wanted.text), _find(heading, wanted.label)
    if len(heading) == 2 and not wanted.named:
        text = 1 - label if text is None and label is not None else text
        label = 1 - text if label is None and text is not None else label
    if text is None or label is None or text == label:
        names = f"{' or '.join(wanted.text)}; {' or '.join(wanted.label)}"
        looked_for = names if wanted.named else LOOKED_FOR
        raise DatasetUnreadable(f"{path}: looked for {looked_for}; found {list(heading)[:12]}")
    return text, label


def _guess(records: Sequence[Record]) -> tuple[int, int]:
    """Without a heading the label is the column with fewer different values."""
    pairs = [record.fields for record in records if len(record.fields) == 2]
    different = [len({fields[column].strip() for fields in pairs}) for column in (0, 1)]
    return (1, 0) if different[0] < different[1] else (0, 1)

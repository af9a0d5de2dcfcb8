import gzip
import lzma
from pathlib import Path

import pytest

from export.datasets.errors import DatasetUnreadable
from export.datasets.labelled_files import load_labelled_texts

GOOD = [("Lovely, really", "pos"), ("Awful", "neg"), ('She said "no"', "neg"), ("Fine", "pos")]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def csv_of(delimiter: str = ",") -> str:
    return "".join('"' + t.replace('"', '""') + f'"{delimiter}{label}\n' for t, label in GOOD)


def tsv_of() -> str:
    return "".join(f"{text}\t{label}\n" for text, label in GOOD)


JSONL = (
    '{"text": "Lovely, really", "label": "pos"}\n{"text": "Awful", "label": "neg"}\n\n'
    '{"label": "neg", "text": "She said \\"no\\""}\n{"text": "Fine", "label": "pos", "x": 1}\n'
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", csv_of()),
        ("a.csv", "text,label\n" + csv_of()),
        ("a.csv", "\ufeffReview;Class\r\n" + csv_of(";").replace("\n", "\r\n")),
        ("a.csv", "\n\ntext,label\n" + csv_of() + "\n"),
        ("a.tsv", tsv_of()),
        ("a.TSV", "sentence\tlabel\n" + tsv_of()),
        ("a.tsv", "kommentar\tlabel\n" + tsv_of()),
        ("a.jsonl", JSONL),
        ("a.ndjson.gz", gzip.compress(JSONL.encode())),
        ("a.tsv.xz", lzma.compress(tsv_of().encode())),
    ],
)
def test_texts_and_labels_are_found(tmp_path: Path, name: str, content: str | bytes) -> None:
    data = load_labelled_texts(write(tmp_path / name, content))
    assert list(data.rows.texts) == [text for text, _ in GOOD]
    assert data.rows.names == ("neg", "pos")
    assert data.rows.labels.tolist() == [1, 0, 0, 1]
    assert data.problems == ()
    assert data.rows.source[0].name == name


def test_columns_are_found_by_name_among_others(tmp_path: Path) -> None:
    rows = "id,sentiment,Text,when\n" + "".join(f"{i},{i % 2},text {i},now\n" for i in range(6))
    data = load_labelled_texts(write(tmp_path / "a.csv", rows))
    assert data.rows.texts[3] == "text 3"
    assert data.rows.names == ("0", "1")


def test_columns_may_be_named_by_the_user(tmp_path: Path) -> None:
    rows = "text,note,label\n" + "".join(f"{i % 2},note {i},{i}\n" for i in range(6))
    path = write(tmp_path / "a.csv", rows)
    data = load_labelled_texts(path, text_column="note", label_column="text")
    assert data.rows.texts[1] == "note 1"
    assert data.rows.names == ("0", "1")


def test_a_named_column_that_is_absent_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\n" + csv_of())
    with pytest.raises(DatasetUnreadable, match=r"looked for verdict.*found \['text', 'label'\]"):
        load_labelled_texts(path, text_column="verdict")


def test_without_a_heading_the_column_with_fewer_values_is_the_label(tmp_path: Path) -> None:
    rows = "".join(f"{label}\t{text}\n" for text, label in GOOD)
    assert load_labelled_texts(write(tmp_path / "a.tsv", rows)).rows.texts[1] == "Awful"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_unknown_columns_say_what_was_looked_for(tmp_path: Path, name: str) -> None:
    rows = "a,b,c\n1,2,3\n" if name == "a.csv" else '{"a": 1, "b": 2, "c": 3}\n'
    with pytest.raises(DatasetUnreadable, match=r"named text, sentence.*found \['a', 'b', 'c'\]"):
        load_labelled_texts(write(tmp_path / name, rows))


def test_numbers_as_classes_are_in_the_order_of_their_values(tmp_path: Path) -> None:
    rows = "".join(f"text {i}\t{label}\n" for i, label in enumerate([10, 9, 2, 10, 9, 2, 2]))
    assert load_labelled_texts(write(tmp_path / "a.tsv", rows)).rows.names == ("2", "9", "10")


def test_bad_rows_of_a_table_are_reported_by_line(tmp_path: Path) -> None:
    content = b"text\tlabel\n" + tsv_of().encode() + b"\xff\xfe\tpos\n\none field\n \tpos\nx\t \n"
    data = load_labelled_texts(write(tmp_path / "a.tsv", content), max_bad_share=0.5)
    assert len(data.rows) == 4
    found = [(problem.line, problem.reason.split(":")[0]) for problem in data.problems]
    assert found == [
        (6, "is not UTF-8"),
        (8, "has 1 fields, the first line 2"),
        (9, "the text is empty"),
        (10, "the label is empty"),
    ]
    assert str(data.problems[1]) == f"{tmp_path / 'a.tsv'}:8: has 1 fields, the first line 2"


def test_a_record_of_several_lines_is_reported_by_its_first(tmp_path: Path) -> None:
    content = 'text,label\n"two\nlines",pos\n"more\nlines",neg,extra\na,pos\nb,neg\nc,neg\n'
    data = load_labelled_texts(write(tmp_path / "a.csv", content), max_bad_share=0.5)
    assert data.rows.texts[0] == "two\nlines"
    assert [problem.line for problem in data.problems] == [4]


def test_every_line_that_an_open_quote_swallows_is_reported(tmp_path: Path) -> None:
    content = 'text,label\na,pos\nb,neg\nc,pos\nd,neg\n"open,pos\nlost,neg\nlost,pos\n'
    path = write(tmp_path / "a.csv", content)
    data = load_labelled_texts(path, max_bad_share=0.5)
    assert len(data.rows) == 4
    assert [problem.line for problem in data.problems] == [6, 7, 8]
    assert "is not CSV" in data.problems[0].reason
    assert "lost with the record of line 6" in data.problems[1].reason
    with pytest.raises(DatasetUnreadable, match="3 of 7 rows"):
        load_labelled_texts(path, max_bad_share=0.2)


def test_characters_after_a_closing_quote_are_reported(tmp_path: Path) -> None:
    content = 'text,label\n"a"b,pos\na,pos\nb,neg\nc,pos\nd,neg\n'
    data = load_labelled_texts(write(tmp_path / "a.csv", content), max_bad_share=0.5)
    assert [problem.line for problem in data.problems] == [2]
    assert len(data.rows) == 4


def test_bad_objects_are_reported_by_line(tmp_path: Path) -> None:
    content = JSONL + '{"text": 5, "label": "pos"}\n[1]\n{"text"\n{"text": "x"}\n' + "[" * 10**5
    data = load_labelled_texts(write(tmp_path / "a.jsonl", content), max_bad_share=0.6)
    assert [problem.line for problem in data.problems] == [6, 7, 8, 9, 10]
    assert len(data.rows) == 4


def test_too_many_bad_rows_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", tsv_of() + "bad\n")
    with pytest.raises(DatasetUnreadable, match=r"1 of 5 rows cannot be used.*\n.*a\.tsv:5"):
        load_labelled_texts(path)


def test_a_long_list_of_problems_is_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", tsv_of() + "bad\n" * 30)
    with pytest.raises(DatasetUnreadable, match="and 20 more"):
        load_labelled_texts(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "holds no rows"),
        ("text\tlabel\n", "holds no rows"),
        ("a\tsame\nb\tsame\n", "needs two classes"),
        ("a\tx\nb\tx\nc\ty\n", "fewer than 2 usable rows: 'y'"),
        ("text\tlabel\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_learnt_from_says_why(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    with pytest.raises(DatasetUnreadable, match=reason):
        load_labelled_texts(write(tmp_path / "a.tsv", content))


def test_an_unknown_ending_lists_those_that_are_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnreadable, match=r"must end in one of \.csv, \.tsv"):
        load_labelled_texts(write(tmp_path / "a.xlsx", "x"))


def test_a_folder_is_not_a_file_of_texts(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnreadable, match="is not a file"):
        load_labelled_texts(tmp_path)


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnreadable, match=r"a\.tsv\.xz cannot be read"):
        load_labelled_texts(write(tmp_path / "a.tsv.xz", b"not packed"))

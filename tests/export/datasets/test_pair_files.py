from pathlib import Path

import pytest

from export.datasets.errors import DatasetUnreadable
from export.datasets.pair_files import load_sentence_pairs

PAIRS = [("One.", "Eins."), ("Two.", "Zwei."), ("Three.", "Drei.")]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def column(side: int) -> str:
    return "".join(pair[side] + "\n" for pair in PAIRS)


@pytest.mark.parametrize(
    ("heading", "row"),
    [
        ("", "{0}\t{1}"),
        ("", "{0}\t{1}\tCC-BY 2.0"),
        ("", "17\t{0}\t23\t{1}"),
        ("en\tde\n", "{0}\t{1}"),
        ("DE\tid\tEN\n", "{1}\tx\t{0}"),
        ("source\ttarget\n", "{0}\t{1}"),
    ],
)
def test_columns_of_a_table_are_found(tmp_path: Path, heading: str, row: str) -> None:
    content = heading + "".join(row.format(*pair) + "\n" for pair in PAIRS)
    data = load_sentence_pairs(write(tmp_path / "pairs.tsv", content))
    assert list(zip(data.rows.sources, data.rows.targets, strict=True)) == PAIRS
    assert data.rows.names == ("en", "de")
    assert data.problems == ()


def test_two_files_are_aligned_by_line(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.txt", column(0)), write(tmp_path / "b.txt", column(1))
    data = load_sentence_pairs(first, second, names=("xx", "yy"))
    assert list(zip(data.rows.sources, data.rows.targets, strict=True)) == PAIRS
    assert data.rows.names == ("xx", "yy")


def test_a_folder_holds_one_file_a_language(tmp_path: Path) -> None:
    write(tmp_path / "mine.en", column(0))
    write(tmp_path / "mine.de", column(1))
    assert load_sentence_pairs(tmp_path).rows.targets == [target for _, target in PAIRS]
    write(tmp_path / "other.de", column(1))
    with pytest.raises(DatasetUnreadable, match=r"one in \.de, found"):
        load_sentence_pairs(tmp_path)


def test_bad_rows_are_reported_by_line_and_keep_the_alignment(tmp_path: Path) -> None:
    first = write(tmp_path / "a.en", "One.\nTwo.\n \nFour.\nFive.\n")
    second = write(tmp_path / "a.de", b"Eins.\n\xff\nDrei.\n\nF\xc3\xbcnf.\n")
    data = load_sentence_pairs(first, second, max_bad_share=0.6)
    assert list(zip(data.rows.sources, data.rows.targets, strict=True)) == [
        ("One.", "Eins."),
        ("Five.", "Fünf."),
    ]
    assert [(p.file.name, p.line) for p in data.problems] == [("a.de", 2), ("a.en", 3), ("a.en", 4)]
    assert "the target sentence is empty" in str(data.problems[2])


def test_rows_of_another_width_are_reported(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.tsv", "One.\tEins.\nTwo.\nThree.\tDrei.\n")
    data = load_sentence_pairs(path, max_bad_share=0.5)
    assert [(p.line, p.reason) for p in data.problems] == [(2, "has 1 fields, the first line 2")]
    assert len(data.rows) == 2


def test_files_of_different_length_are_not_aligned(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.en", column(0)), write(tmp_path / "a.de", "Eins.\n")
    with pytest.raises(DatasetUnreadable, match=r"a\.de ends after line 1"):
        load_sentence_pairs(first, second)


def test_an_unclear_first_line_says_what_was_looked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.tsv", "a\tb\tc\td\te\n")
    with pytest.raises(DatasetUnreadable, match="looked for columns named by language"):
        load_sentence_pairs(path)


@pytest.mark.parametrize("name", ["absent.tsv", "pairs.pdf"])
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / "pairs.pdf", "x")
    with pytest.raises(DatasetUnreadable, match=name):
        load_sentence_pairs(tmp_path / name)


def test_an_empty_file_holds_no_rows(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnreadable, match="holds no rows"):
        load_sentence_pairs(write(tmp_path / "pairs.tsv", ""))

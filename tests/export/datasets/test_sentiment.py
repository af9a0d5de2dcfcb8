import json
import lzma
from pathlib import Path

import pytest

from export.datasets.errors import DatasetMissing, DatasetUnreadable
from export.datasets.sentiment import load_imdb, load_sst2

REVIEWS = [("neg", 0, 3, "Dull.<br />Very."), ("neg", 10, 1, "Bad"), ("neg", 2, 4, "So so")]
REVIEWS += [("pos", 0, 9, "Schön\u2028über"), ("pos", 1, 7, "Good\n")]


def write_tree(root: Path) -> None:
    for split in ("train", "test"):
        for name in ("neg", "pos", "unsup"):
            (root / "aclImdb" / split / name).mkdir(parents=True)
        for name, number, rating, text in REVIEWS:
            path = root / "aclImdb" / split / name / f"{number}_{rating}.txt"
            path.write_text(text, encoding="utf-8", newline="")


def write_jsonl(root: Path, packed: bool) -> None:
    for split in ("train", "test"):
        rows = [
            json.dumps({"id": n, "label": int(name == "pos"), "rating": r, "text": text})
            for name, n, r, text in REVIEWS
        ]
        content = ("\n".join(rows) + "\n").encode()
        if packed:
            (root / f"{split}.jsonl.xz").write_bytes(lzma.compress(content))
        else:
            (root / f"{split}.jsonl").write_bytes(content)


def test_the_tree_is_read_by_class_and_number(tmp_path: Path) -> None:
    write_tree(tmp_path)
    data = load_imdb(tmp_path)
    assert list(data.train.texts) == [
        "Dull.<br />Very.",
        "So so",
        "Bad",
        "Schön\u2028über",
        "Good\n",
    ]
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert data.test.names == ("negative", "positive")
    assert data.train.source[0].rows == 5


@pytest.mark.parametrize("packed", [True, False])
def test_lines_of_json_are_read_as_they_stand(tmp_path: Path, packed: bool) -> None:
    write_jsonl(tmp_path, packed)
    data = load_imdb(tmp_path)
    assert list(data.test.texts) == [text for *_, text in REVIEWS]
    assert data.test.labels.tolist() == [0, 0, 0, 1, 1]


def test_half_a_tree_is_unreadable(tmp_path: Path) -> None:
    write_tree(tmp_path)
    for path in (tmp_path / "aclImdb" / "test" / "pos").iterdir():
        path.unlink()
    with pytest.raises(DatasetUnreadable, match=r"IMDB .* test: labels are"):
        load_imdb(tmp_path)


def test_a_bad_line_of_json_is_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path, packed=False)
    with (tmp_path / "train.jsonl").open("a") as stream:
        stream.write('{"label": 1}\n')
    with pytest.raises(DatasetUnreadable, match=r"train\.jsonl:6: no text and label"):
        load_imdb(tmp_path)


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path, packed=True)
    path = tmp_path / "train.jsonl.xz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetUnreadable, match=r"train\.jsonl\.xz, after line"):
        load_imdb(tmp_path)


def test_missing_reviews_say_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=r"ai\.stanford\.edu"):
        load_imdb(tmp_path)


def write_labelled(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("sentence\tlabel\n" + "".join(row + "\n" for row in rows), encoding="utf-8")


def test_glue_files_have_no_labels_for_test(tmp_path: Path) -> None:
    folder = tmp_path / "SST-2"
    write_labelled(folder / "train.tsv", 'a " quote \t1', "so dull \t0")
    write_labelled(folder / "dev.tsv", "fine\t1", "bad\t0")
    (folder / "test.tsv").write_text("index\tsentence\n0\tunknown\n")
    data = load_sst2(tmp_path)
    assert list(data.train.texts) == ['a " quote ', "so dull "]
    assert data.dev.labels.tolist() == [1, 0]
    assert data.test is None
    assert data.phrases is None
    assert data.fullest_train is data.train


def test_phrases_and_labelled_test_sentences_are_read_where_present(tmp_path: Path) -> None:
    folder = tmp_path / "sst2"
    for name in ("train", "dev", "test"):
        write_labelled(folder / f"{name}.tsv", f"good {name}\t1", f"bad {name}\t0")
    phrases = b"sentence\tlabel\ngood\t1\nbad\t0\nworse\t0\n"
    (folder / "phrases_train.tsv.xz").write_bytes(lzma.compress(phrases))
    data = load_sst2(tmp_path)
    assert data.test is not None
    assert list(data.test.texts) == ["good test", "bad test"]
    assert data.fullest_train is data.phrases
    assert list(data.fullest_train.texts) == ["good", "bad", "worse"]
    assert data.fullest_train.source[0].split == "train phrases"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("two\ttabs\t1", r"train\.tsv:4: 3 fields, the header 2"),
        ("x\t2", r"train\.tsv: labels must be 0 or 1, found \['2'\]"),
    ],
)
def test_bad_rows_of_sentences_are_named(tmp_path: Path, row: str, reason: str) -> None:
    write_labelled(tmp_path / "train.tsv", "a\t1", "b\t0", row)
    write_labelled(tmp_path / "dev.tsv", "a\t1", "b\t0")
    with pytest.raises(DatasetUnreadable, match=reason):
        load_sst2(tmp_path)


def test_missing_sentences_say_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match="gluebenchmark"):
        load_sst2(tmp_path)

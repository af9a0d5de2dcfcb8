import gzip
import lzma
from pathlib import Path

import pytest

from export.datasets.errors import DatasetMissing, DatasetUnreadable
from export.datasets.translation import load_chat, load_multi30k, load_tatoeba, load_wmt_news


def write_multi30k(folder: Path) -> None:
    folder.mkdir(parents=True)
    for split, rows in (("train", 3), ("val", 2), ("test_2016_flickr", 1)):
        for language in ("en", "de"):
            lines = "".join(f"{split} {row} {language}\n" for row in range(rows))
            (folder / f"{split}.{language}.gz").write_bytes(gzip.compress(lines.encode()))


@pytest.mark.parametrize("inside", ["multi30k", "dataset/data/task1/raw", "data/task1/raw"])
def test_captions_are_aligned_by_line(tmp_path: Path, inside: str) -> None:
    write_multi30k(tmp_path / inside)
    splits = load_multi30k(tmp_path)
    assert {name: len(pairs) for name, pairs in splits.items()} == {
        "train": 3,
        "val": 2,
        "test_2016_flickr": 1,
    }
    assert splits["train"].sources[2] == "train 2 en"
    assert splits["train"].targets[2] == "train 2 de"
    assert splits["val"].names == ("en", "de")


def test_captions_can_be_read_the_other_way_round(tmp_path: Path) -> None:
    write_multi30k(tmp_path / "multi30k")
    pairs = load_multi30k(tmp_path, "de", "en")["val"]
    assert (pairs.sources[0], pairs.targets[0], pairs.names) == (
        "val 0 de",
        "val 0 en",
        ("de", "en"),
    )


def test_captions_of_different_length_are_refused(tmp_path: Path) -> None:
    write_multi30k(tmp_path / "multi30k")
    (tmp_path / "multi30k" / "val.de.gz").write_bytes(gzip.compress(b"one\n"))
    with pytest.raises(DatasetUnreadable, match=r"val\.en\.gz has 2 lines, .*val\.de\.gz 1"):
        load_multi30k(tmp_path)


def test_an_absent_language_says_where_to_get_it(tmp_path: Path) -> None:
    write_multi30k(tmp_path / "multi30k")
    with pytest.raises(DatasetMissing, match=r"train\.cs\.gz.*github\.com/multi30k"):
        load_multi30k(tmp_path, "en", "cs")


def write_table(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress("".join(row + "\n" for row in rows).encode()))


def test_everyday_sentences_keep_their_splits(tmp_path: Path) -> None:
    folder = tmp_path / "tatoeba"
    write_table(folder / "train.en-de.tsv.xz", "en\tde", "Hi.\tHallo!", "Hi.\tGrüß Gott!")
    write_table(folder / "test_v2021-08-07.en-de.tsv.xz", "en\tde", "Bye.\tTschüss.")
    splits = load_tatoeba(tmp_path, "de", "en")
    assert list(splits) == ["train", "test"]
    assert splits["train"].sources == ["Hallo!", "Grüß Gott!"]
    assert splits["train"].targets == ["Hi.", "Hi."]


def test_a_list_of_manythings_is_carved_into_splits_that_share_nothing(tmp_path: Path) -> None:
    rows = [f"English {i // 2}.\tDeutsch {i}.\tCC-BY 2.0 (France) #{i}" for i in range(400)]
    folder = tmp_path / "deu-eng"
    folder.mkdir()
    (folder / "deu.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    splits = load_tatoeba(tmp_path)
    sizes = {name: len(pairs) for name, pairs in splits.items()}
    assert sizes == {"train": 320, "dev": 40, "test": 40}
    assert not set(splits["train"].sources) & set(splits["dev"].sources)
    assert not set(splits["dev"].sources) & set(splits["test"].sources)
    assert splits["dev"].targets[0].startswith("Deutsch")
    assert splits["dev"].source[0].rows == 40
    assert load_tatoeba(tmp_path) == splits


def test_an_old_list_without_authors_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "fra.txt").write_text("".join(f"One {i}.\tUn {i}.\n" for i in range(20)))
    assert load_tatoeba(tmp_path, "fr", "en")["train"].sources[0].startswith("Un")


def test_a_line_without_a_translation_is_named(tmp_path: Path) -> None:
    (tmp_path / "deu.txt").write_text("One.\tEins.\nTwo.\n")
    with pytest.raises(DatasetUnreadable, match=r"deu\.txt:2: one field"):
        load_tatoeba(tmp_path)


def test_missing_everyday_sentences_say_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=r"manythings\.org/anki"):
        load_tatoeba(tmp_path)


def test_chat_is_told_by_its_column(tmp_path: Path) -> None:
    write_table(tmp_path / "train.en-de.tsv.xz", "en\tde", "Hi.\tHallo!")
    with pytest.raises(DatasetMissing, match="BConTrasT"):
        load_chat(tmp_path)
    write_table(tmp_path / "train.en-de.tsv.xz", "original\ten\tde", "de\tHi.\tHallo!")
    assert load_chat(tmp_path)["train"].targets == ["Hallo!"]


def test_news_is_split_by_its_test_sets(tmp_path: Path) -> None:
    write_table(
        tmp_path / "wmt_news" / "en-de.tsv.xz",
        "set\ten\tde",
        "newstest2013\tA\tB",
        "newstest2014\tC\tD",
        "newstest2014\tE\tF",
    )
    splits = load_wmt_news(tmp_path)
    assert {name: list(pairs.sources) for name, pairs in splits.items()} == {
        "newstest2013": ["A"],
        "newstest2014": ["C", "E"],
    }
    assert splits["newstest2014"].source[0].split == "newstest2014"


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write_table(tmp_path / "wmt_news" / "en-de.tsv.xz", "en\tde", "A\tB")
    with pytest.raises(DatasetUnreadable, match="no column set in the header"):
        load_wmt_news(tmp_path)

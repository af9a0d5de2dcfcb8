"""Reviews (IMDB) and sentences (SST-2) with the label negative (0) or positive (1)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.datasets.errors import DatasetUnreadable
from export.datasets.lines import columns_of, first_existing, header_of, lines_of
from export.datasets.progress import show_if_slow
from export.datasets.rows import LabelledTexts
from export.datasets.sources import IMDB, SST2, KnownDataset, folders_of, missing, origin_of

NAMES = ("negative", "positive")
TREE_FOLDERS = ("neg", "pos")


@dataclass(frozen=True, slots=True)
class Imdb:
    """Both halves, sorted by class: shuffle before training. Texts keep their `<br />` tags."""

    train: LabelledTexts
    test: LabelledTexts


@dataclass(frozen=True, slots=True)
class Sst2:
    """Whole sentences, the longer list of phrases where present, and the makers' splits.

    `test` is None where its labels are withheld, as in GLUE.
    """

    train: LabelledTexts
    phrases: LabelledTexts | None
    dev: LabelledTexts
    test: LabelledTexts | None

    @property
    def fullest_train(self) -> LabelledTexts:
        """The phrases, which hold the sentences too; else the training list that is there."""
        return self.train if self.phrases is None else self.phrases


def load_imdb(root: Path | None) -> Imdb:
    """Read the `aclImdb` tree or `train.jsonl`, `test.jsonl` (plain or packed)."""
    for folder in folders_of(IMDB, root):
        if all((folder / "train" / name).is_dir() for name in TREE_FOLDERS):
            return Imdb(_read_tree(folder, "train"), _read_tree(folder, "test"))
        train, test = (first_existing(folder, f"{s}.jsonl") for s in ("train", "test"))
        if train and test:
            return Imdb(_read_jsonl(train, "train"), _read_jsonl(test, "test"))
    raise missing(IMDB, root, "train/pos, train/neg, test/pos, test/neg or train.jsonl, test.jsonl")


def load_sst2(root: Path | None) -> Sst2:
    """Read `train.tsv`, `dev.tsv`, `test.tsv` as GLUE ships them or with labels in all."""
    for folder in folders_of(SST2, root):
        train, dev, test, phrases = (
            first_existing(folder, f"{name}.tsv")
            for name in ("train", "dev", "test", "phrases_train")
        )
        if train and dev and "sentence" in header_of(train):
            return Sst2(
                _read_tsv(train, "train"),
                _read_tsv(phrases, "train phrases") if phrases else None,
                _read_tsv(dev, "dev"),
                _read_tsv(test, "test") if test and "label" in header_of(test) else None,
            )
    raise missing(SST2, root, "train.tsv and dev.tsv with the columns sentence and label")


def _read_tree(folder: Path, split: str) -> LabelledTexts:
    files = [path for name in TREE_FOLDERS for path in _by_number(folder / split / name)]
    texts, labels = [], []
    for path in show_if_slow(files, f"IMDB {split}", len(files)):
        texts.append(path.read_text(encoding="utf-8"))
        labels.append(TREE_FOLDERS.index(path.parent.name))
    return _labelled(IMDB, split, files, texts, labels)


def _by_number(folder: Path) -> list[Path]:
    """Files named NUMBER_RATING.txt in the order of their numbers."""
    if not folder.is_dir():
        raise DatasetUnreadable(f"{folder} is missing from the tree")
    return sorted(folder.glob("*_*.txt"), key=lambda path: (int(path.stem.split("_")[0]), path))


def _read_jsonl(path: Path, split: str) -> LabelledTexts:
    texts, labels = [], []
    for text, label in _json_rows(path):
        texts.append(text)
        labels.append(label)
    return _labelled(IMDB, split, [path], texts, labels)


def _json_rows(path: Path) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(lines_of(path), start=1):
        try:
            row = json.loads(line)
            yield str(row["text"]), int(row["label"])
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetUnreadable(f"{path}:{number}: no text and label: {error}") from error


def _read_tsv(path: Path, split: str) -> LabelledTexts:
    texts, labels = columns_of(path, "sentence", "label")
    odd = sorted(set(labels) - {"0", "1"})
    if odd:
        raise DatasetUnreadable(f"{path}: labels must be 0 or 1, found {odd[:3]}")
    return _labelled(SST2, split, [path], texts, [int(label) for label in labels])


def _labelled(
    known: KnownDataset, split: str, files: list[Path], texts: list[str], labels: list[int]
) -> LabelledTexts:
    if set(labels) != {0, 1}:
        raise DatasetUnreadable(f"{known.title} {split}: labels are {set(labels)}, not 0 and 1")
    origin = origin_of(known, split, files, len(texts))
    return LabelledTexts(texts, np.array(labels, dtype=np.int64), NAMES, (origin,))

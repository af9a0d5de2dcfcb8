"""CIFAR-10 as uint8 arrays, from its official binary or Python batches or from lossless sheets.

N images, H = W = 32, C = 3 (red, green, blue).
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from export.datasets.errors import DatasetUnreadable
from export.datasets.pickles import read_arrays
from export.datasets.progress import show_if_slow
from export.datasets.rows import Images, LabelledImages, Labels
from export.datasets.sources import CIFAR10, folders_of, missing, origin_of
from model_zoo.manifest import DatasetSource

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SIDE = 32
PIXELS = 3 * SIDE * SIDE
SHEET_ROWS, SHEET_COLUMNS = 25, 40
LOOKED_FOR = (
    "data_batch_1.bin … test_batch.bin, data_batch_1 … test_batch or train_00.webp … labels.csv"
)


@dataclass(frozen=True, slots=True)
class Cifar10:
    """Both splits in their official order: images uint8 [N, 32, 32, 3], labels int64 [N]."""

    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    classes: tuple[str, ...]
    source: tuple[DatasetSource, ...]

    @property
    def train(self) -> LabelledImages:
        """The training split as rows."""
        origins = self.source[:1]
        return LabelledImages(self.train_images, self.train_labels, self.classes, origins)

    @property
    def test(self) -> LabelledImages:
        """The test split as rows."""
        origins = self.source[1:]
        return LabelledImages(self.test_images, self.test_labels, self.classes, origins)


@dataclass(frozen=True, slots=True)
class _Split:
    images: Images
    labels: Labels
    origin: DatasetSource


def is_here(root: Path | None) -> bool:
    """Whether an official form, whole or not, lies in `root`."""
    return any(found(folder) for folder in folders_of(CIFAR10, root) for found, _ in FORMATS)


def load(root: Path | None) -> Cifar10:
    """Read whichever official form lies in `root`; raises DatasetMissing or DatasetUnreadable."""
    for folder in folders_of(CIFAR10, root):
        for found, read in FORMATS:
            if found(folder):
                train, test = read(folder, "train"), read(folder, "test")
                return Cifar10(
                    train.images,
                    train.labels,
                    test.images,
                    test.labels,
                    CLASSES,
                    (train.origin, test.origin),
                )
    raise missing(CIFAR10, root, LOOKED_FOR)


def _read_batches(
    files: list[Path], split: str, read: Callable[[Path], tuple[Images, Labels]]
) -> _Split:
    absent = [path.name for path in files if not path.is_file()]
    if absent:
        raise DatasetUnreadable(f"{files[0].parent} lacks {', '.join(absent)}")
    parts = [read(path) for path in show_if_slow(files, f"CIFAR-10 {split}", len(files))]
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    _require_classes(labels, files[0].parent)
    return _Split(images, labels, origin_of(CIFAR10, split, files, len(labels)))


def _channels_last(planes: NDArray[np.uint8]) -> Images:
    """Rows of 3,072 bytes (a plane a colour) to images [N, 32, 32, 3]."""
    images_NCHW = planes.reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(images_NCHW.transpose(0, 2, 3, 1))


def _require_classes(labels: Labels, folder: Path) -> None:
    if not len(labels) or labels.min() < 0 or labels.max() >= len(CLASSES):
        raise DatasetUnreadable(f"{folder}: labels must be 0 to {len(CLASSES) - 1}")


def _batch_names(folder: Path, split: str, suffix: str) -> list[Path]:
    names = ["test_batch"] if split == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    return [folder / (name + suffix) for name in names]


def _binary_batch(path: Path) -> tuple[Images, Labels]:
    content = np.fromfile(path, dtype=np.uint8)
    if not len(content) or len(content) % (1 + PIXELS):
        raise DatasetUnreadable(f"{path} has {len(content)} bytes, not a multiple of {1 + PIXELS}")
    records = content.reshape(-1, 1 + PIXELS)
    return _channels_last(records[:, 1:]), records[:, 0].astype(np.int64)


def _pickled_batch(path: Path) -> tuple[Images, Labels]:
    content = read_arrays(path)
    if not isinstance(content, dict) or not {b"data", b"labels"} <= content.keys():
        raise DatasetUnreadable(f"{path} holds no dictionary with data and labels")
    planes, labels = np.asarray(content[b"data"]), np.asarray(content[b"labels"])
    if planes.dtype != np.uint8 or planes.shape != (len(labels), PIXELS):
        raise DatasetUnreadable(f"{path}: data is {planes.dtype} {planes.shape}")
    return _channels_last(planes), labels.astype(np.int64)


def _read_binary(folder: Path, split: str) -> _Split:
    return _read_batches(_batch_names(folder, split, ".bin"), split, _binary_batch)


def _read_pickled(folder: Path, split: str) -> _Split:
    return _read_batches(_batch_names(folder, split, ""), split, _pickled_batch)


def _read_sheets(folder: Path, split: str) -> _Split:
    labels, inexact = _sheet_labels(folder / "labels.csv", split)
    _require_classes(labels, folder)
    sheets = sorted(folder.glob(f"{split}_[0-9][0-9].webp"))
    size = SHEET_ROWS * SHEET_COLUMNS
    if len(sheets) * size != len(labels):
        raise DatasetUnreadable(
            f"{folder}: {len(sheets)} {split} sheets of {size} images, {len(labels)} labels"
        )
    images = np.empty((len(labels), SIDE, SIDE, 3), dtype=np.uint8)
    for k, sheet in enumerate(show_if_slow(sheets, f"CIFAR-10 {split}", len(sheets))):
        images[k * size : (k + 1) * size] = _sheet_images(sheet)
    note = f"lossless sheets; {inexact} images from a JPEG copy" if inexact else "lossless sheets"
    files = [*sheets, folder / "labels.csv"]
    return _Split(images, labels, origin_of(CIFAR10, split, files, len(labels), note))


def _sheet_labels(path: Path, split: str) -> tuple[Labels, int]:
    """Labels in order, and how many images are not the original pixels."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == split]
    labels = np.array([int(row["label"]) for row in rows], dtype=np.int64)
    return labels, sum(row.get("exact") == "0" for row in rows)


def _sheet_images(path: Path) -> Images:
    """One sheet, a grid of 25 rows by 40 columns of images, row by row."""
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    if pixels.shape != (SHEET_ROWS * SIDE, SHEET_COLUMNS * SIDE, 3):
        raise DatasetUnreadable(f"{path} is {pixels.shape[1]} x {pixels.shape[0]}, not 1280 x 800")
    tiles = pixels.reshape(SHEET_ROWS, SIDE, SHEET_COLUMNS, SIDE, 3)
    return tiles.transpose(0, 2, 1, 3, 4).reshape(-1, SIDE, SIDE, 3)


FORMATS: tuple[tuple[Callable[[Path], bool], Callable[[Path, str], _Split]], ...] = (
    (lambda folder: (folder / "data_batch_1.bin").is_file(), _read_binary),
    (lambda folder: (folder / "data_batch_1").is_file(), _read_pickled),
    (lambda folder: (folder / "train_00.webp").is_file(), _read_sheets),
)

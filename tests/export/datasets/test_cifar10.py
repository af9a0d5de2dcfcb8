import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from export.datasets import cifar10
from export.datasets.errors import DatasetMissing, DatasetUnreadable

TRAIN = [f"data_batch_{i}" for i in range(1, 6)]
BATCHES = [*TRAIN, "test_batch"]
ROWS = 3


def planes_of(batch: int) -> NDArray[np.uint8]:
    """Rows of 3,072 bytes as the makers store them."""
    return np.random.default_rng(batch).integers(0, 256, (ROWS, 3072), dtype=np.uint8)


def labels_of(batch: int) -> list[int]:
    return [(batch + row) % 10 for row in range(ROWS)]


def write_binary(folder: Path) -> None:
    for number, name in enumerate(BATCHES):
        labels = np.array(labels_of(number), dtype=np.uint8)[:, None]
        np.hstack([labels, planes_of(number)]).tofile(folder / f"{name}.bin")


def python2_string(content: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(content)) + content


def python2_pickle(planes: NDArray[np.uint8], labels: list[int]) -> bytes:
    """The opcodes of the official files, which Python 2 wrote with protocol 2."""
    shape = b"(K" + bytes([len(planes)]) + b"M" + struct.pack("<H", 3072) + b"t"
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR"
    dtype += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    array += b"(K\x01" + shape + dtype + b"\x89" + python2_string(planes.tobytes()) + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    items = b"U\x04data" + array + b"U\x06labels" + numbers + b"U\x0bbatch_labelU\x01x"
    return b"\x80\x02}(" + items + b"u."


def write_python(folder: Path) -> None:
    for number, name in enumerate(BATCHES):
        content = python2_pickle(planes_of(number), labels_of(number))
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("write", [write_binary, write_python])
@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin", "cifar-10-batches-py", "cifar10"])
def test_official_batches_are_read_in_order(
    tmp_path: Path, write: Callable[[Path], None], inside: str
) -> None:
    folder = tmp_path / inside
    folder.mkdir(exist_ok=True)
    write(folder)
    data = cifar10.load(tmp_path)
    assert data.train_images.shape == (5 * ROWS, 32, 32, 3)
    assert data.train_images.dtype == np.uint8
    assert data.train_labels.dtype == np.int64
    assert data.train_labels.tolist() == [label for i in range(5) for label in labels_of(i)]
    assert data.test_labels.tolist() == labels_of(5)
    third = planes_of(1)[0].reshape(3, 32, 32)
    np.testing.assert_array_equal(data.train_images[ROWS], third.transpose(1, 2, 0))


def test_both_splits_are_given_as_rows_with_their_origin(tmp_path: Path) -> None:
    write_binary(tmp_path)
    data = cifar10.load(tmp_path)
    assert [(o.split, o.rows) for o in (*data.train.source, *data.test.source)] == [
        ("train", 5 * ROWS),
        ("test", ROWS),
    ]
    assert data.test.names == cifar10.CLASSES
    assert data.train.source[0].sha256 != data.test.source[0].sha256


def write_sheets(folder: Path, test_labels: int = 1000) -> NDArray[np.uint8]:
    """One sheet a split; the pixels come back as images [1000, 32, 32, 3]."""
    images = np.random.default_rng(3).integers(0, 256, (1000, 32, 32, 3), dtype=np.uint8)
    sheet = images.reshape(25, 40, 32, 32, 3).transpose(0, 2, 1, 3, 4).reshape(800, 1280, 3)
    lines = ["split,index,label,class,exact"]
    for split, count in (("train", 1000), ("test", test_labels)):
        Image.fromarray(sheet).save(folder / f"{split}_00.webp", lossless=True, quality=0)
        lines += [f"{split},{i},{i % 10},x,{int(i > 1)}" for i in range(count)]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return images


def test_sheets_hold_the_same_images_row_by_row(tmp_path: Path) -> None:
    images = write_sheets(tmp_path)
    data = cifar10.load(tmp_path)
    np.testing.assert_array_equal(data.train_images, images)
    np.testing.assert_array_equal(data.test_images, images)
    assert data.train_labels[:12].tolist() == [*range(10), 0, 1]
    assert "2 images from a JPEG copy" in data.source[0].source


def test_sheets_and_labels_must_be_as_many(tmp_path: Path) -> None:
    write_sheets(tmp_path, test_labels=999)
    with pytest.raises(DatasetUnreadable, match="1 test sheets of 1000 images, 999 labels"):
        cifar10.load(tmp_path)


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    write_binary(tmp_path)
    (tmp_path / "data_batch_4.bin").unlink()
    with pytest.raises(DatasetUnreadable, match=r"lacks data_batch_4\.bin"):
        cifar10.load(tmp_path)


def test_a_truncated_batch_is_named(tmp_path: Path) -> None:
    write_binary(tmp_path)
    path = tmp_path / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetUnreadable, match=r"test_batch.bin has 9218 bytes"):
        cifar10.load(tmp_path)


def test_labels_beyond_the_classes_are_refused(tmp_path: Path) -> None:
    write_binary(tmp_path)
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(b"\x0a" + path.read_bytes()[1:])
    with pytest.raises(DatasetUnreadable, match="labels must be 0 to 9"):
        cifar10.load(tmp_path)


def test_an_empty_folder_says_where_to_get_the_data(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=r"cs\.toronto\.edu/~kriz/cifar\.html"):
        cifar10.load(tmp_path)


def test_no_folder_says_which_variable_to_set() -> None:
    with pytest.raises(DatasetMissing, match="SLIPWAY_DATA"):
        cifar10.load(None)

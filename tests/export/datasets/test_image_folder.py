from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.datasets.errors import DatasetUnreadable
from export.datasets.image_folder import load_image_folder
from model_zoo.manifest import ImageInput
from service.tasks.images import ImageReader

RED, BLUE = (250, 10, 10), (10, 10, 250)


def spec(height: int, width: int) -> ImageInput:
    return ImageInput(
        height=height,
        width=width,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        interpolation="bilinear",
        fit="squash",
    )


def save(path: Path, colour: tuple[int, ...] = RED, size: tuple[int, int] = (20, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB" if len(colour) == 3 else "RGBA", size, colour).save(path)


def write_folder(folder: Path) -> None:
    for i in range(4):
        save(folder / "blue" / f"{i}.jpg", BLUE)
        save(folder / "red" / "deeper" / f"{i}.png", RED)


def test_pictures_are_labelled_by_their_folder(tmp_path: Path) -> None:
    write_folder(tmp_path)
    data = load_image_folder(tmp_path, spec(8, 6))
    assert data.rows.images.shape == (8, 8, 6, 3)
    assert data.rows.names == ("blue", "red")
    assert data.rows.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert data.rows.images[0, 0, 0].argmax() == 2
    assert data.rows.images[7, 0, 0].argmax() == 0
    assert data.rows.files[7] == tmp_path / "red" / "deeper" / "3.png"
    assert data.problems == ()
    origin = data.rows.source[0]
    assert (origin.name, origin.rows) == (tmp_path.name, 8)
    assert str(tmp_path.parent) not in origin.model_dump_json()


def test_bad_files_are_reported_and_the_others_go_on(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "red" / "notes.txt").write_text("no picture")
    whole = (tmp_path / "blue" / "0.jpg").read_bytes()
    (tmp_path / "blue" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "stray.png").write_bytes(b"")
    (tmp_path / ".DS_Store").write_bytes(b"left by a file manager")
    data = load_image_folder(tmp_path, spec(8, 8), max_bad_share=0.5)
    assert len(data.rows) == 8
    assert [(p.file.name, p.line) for p in data.problems] == [
        ("stray.png", None),
        ("cut.jpg", None),
        ("notes.txt", None),
    ]
    assert "cannot be read as a picture" in str(data.problems[2])
    assert "not in the folder of a class" in str(data.problems[0])


def test_too_many_bad_files_are_an_error_that_lists_them(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for i in range(2):
        (tmp_path / "red" / f"bad{i}.png").write_bytes(b"bad")
    with pytest.raises(DatasetUnreadable, match=r"(?s)2 of 10 rows cannot be used.*bad0\.png"):
        load_image_folder(tmp_path, spec(8, 8))


def test_a_class_of_one_picture_is_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path)
    save(tmp_path / "rare" / "only.png")
    with pytest.raises(DatasetUnreadable, match="fewer than 2 usable rows: 'rare'"):
        load_image_folder(tmp_path, spec(8, 8))


def test_a_folder_of_splits_is_not_taken_for_classes(tmp_path: Path) -> None:
    write_folder(tmp_path / "train")
    write_folder(tmp_path / "val")
    with pytest.raises(DatasetUnreadable, match="holds the splits train, val, not classes"):
        load_image_folder(tmp_path, spec(8, 8))


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_without_classes_says_what_is_expected(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetUnreadable, match="one folder of pictures a class"):
        load_image_folder(tmp_path / name, spec(8, 8))


def test_pictures_are_read_as_the_service_reads_them(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 40), BLUE)
    image.paste(RED, (0, 0, 20, 40))  # red left half, which the orientation turns to the top
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for i in range(2):
            image.save(tmp_path / name / f"{i}.jpg", exif=exif, quality=95)
    data = load_image_folder(tmp_path, spec(10, 10))
    content = (tmp_path / "one" / "0.jpg").read_bytes()
    np.testing.assert_array_equal(data.rows.images[0], ImageReader(spec(10, 10)).pixels(content))
    assert data.rows.images[0, 1, 5].argmax() == 0
    assert data.rows.images[0, 8, 5].argmax() == 2

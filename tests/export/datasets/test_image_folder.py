import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.datasets.errors import DatasetUnreadable
from export.datasets.image_folder import decode_upright, load_image_folder

RED, BLUE = (250, 10, 10), (10, 10, 250)


def save(path: Path, colour: tuple[int, ...] = RED, size: tuple[int, int] = (20, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB" if len(colour) == 3 else "RGBA", size, colour).save(path)


def write_folder(folder: Path) -> None:
    for i in range(4):
        save(folder / "blue" / f"{i}.jpg", BLUE)
        save(folder / "red" / "deeper" / f"{i}.png", RED)


def test_pictures_are_labelled_by_their_folder(tmp_path: Path) -> None:
    write_folder(tmp_path)
    data = load_image_folder(tmp_path, (8, 6))
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
    data = load_image_folder(tmp_path, (8, 8), max_bad_share=0.5)
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
        load_image_folder(tmp_path, (8, 8))


def test_a_class_of_one_picture_is_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path)
    save(tmp_path / "rare" / "only.png")
    with pytest.raises(DatasetUnreadable, match="fewer than 2 usable rows: 'rare'"):
        load_image_folder(tmp_path, (8, 8))


def test_a_folder_of_splits_is_not_taken_for_classes(tmp_path: Path) -> None:
    write_folder(tmp_path / "train")
    write_folder(tmp_path / "val")
    with pytest.raises(DatasetUnreadable, match="holds the splits train, val, not classes"):
        load_image_folder(tmp_path, (8, 8))


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_without_classes_says_what_is_expected(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetUnreadable, match="one folder of pictures a class"):
        load_image_folder(tmp_path / name, (8, 8))


def test_the_caller_may_bring_the_decoder_that_serves(tmp_path: Path) -> None:
    write_folder(tmp_path)
    white = np.full((8, 8, 3), 255, dtype=np.uint8)
    data = load_image_folder(tmp_path, (8, 8), decode=lambda content: white)
    assert data.rows.images.min() == 255


def test_a_decoder_of_the_wrong_size_is_reported(tmp_path: Path) -> None:
    write_folder(tmp_path)
    small = np.zeros((4, 4, 3), dtype=np.uint8)
    with pytest.raises(DatasetUnreadable, match=r"decoded to \(4, 4, 3\)"):
        load_image_folder(tmp_path, (8, 8), decode=lambda content: small)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def test_pictures_are_turned_upright_by_exif() -> None:
    image = Image.new("RGB", (40, 40), BLUE)
    image.paste(RED, (0, 0, 20, 40))  # red left half, to be turned to the top
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = decode_upright(encoded(image, "JPEG", exif=exif, quality=95), (10, 10))
    assert pixels[1, 5].argmax() == 0
    assert pixels[8, 5].argmax() == 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_pixels_become_white(mode: str) -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0)).convert(mode)
    form = "TIFF" if mode == "PA" else "PNG"
    assert decode_upright(encoded(image, form), (4, 4)).min() == 255


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK"])
def test_other_modes_become_rgb(mode: str) -> None:
    image = Image.new("RGB", (8, 8), "white").convert(mode)
    form = "JPEG" if mode == "CMYK" else "PNG"
    pixels = decode_upright(encoded(image, form), (4, 4))
    assert pixels.shape == (4, 4, 3)
    assert pixels.min() > 250

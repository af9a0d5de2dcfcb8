"""The user's own pictures: a folder with one folder a class, whatever sizes and formats."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from export.datasets.errors import DatasetUnreadable
from export.datasets.progress import show_if_slow
from export.datasets.rows import Images, LabelledImages
from export.datasets.user_data import (
    MAX_BAD_SHARE,
    DataProblem,
    UserData,
    class_names,
    own_origin,
    require_mostly_good,
)

SPLIT_FOLDERS = {"train", "val", "valid", "validation", "dev", "test"}
DecodeImage = Callable[[bytes], Images]


def load_image_folder(
    folder: Path,
    size: tuple[int, int],
    *,
    decode: DecodeImage | None = None,
    max_bad_share: float = MAX_BAD_SHARE,
) -> UserData[LabelledImages]:
    """Every picture below `folder/CLASS/`, as (height, width) = `size`.

    `decode` turns a file's bytes into pixels uint8 [H, W, 3] of that size and raises for what it
    cannot read; without it pictures are turned upright, put on white and squashed to the size.
    """
    labelled, problems = _files_by_class(folder)
    read = decode or (lambda content: decode_upright(content, size))
    images = np.empty((len(labelled), *size, 3), dtype=np.uint8)
    good: list[tuple[Path, str]] = []
    for path, label in show_if_slow(labelled, f"Pictures in {folder.name}", len(labelled)):
        problem = _read_into(images, len(good), path, read)
        if problem:
            problems.append(problem)
        else:
            good.append((path, label))
    require_mostly_good(folder, len(good), problems, max_bad_share)
    names = class_names(folder, [label for _, label in good])
    positions = {name: position for position, name in enumerate(names)}
    labels = np.array([positions[label] for _, label in good], dtype=np.int64)
    files = tuple(path for path, _ in good)
    source = (own_origin(folder, files, len(files)),)
    rows = LabelledImages(images[: len(good)], labels, names, source, files)
    return UserData(rows, tuple(problems))


def decode_upright(content: bytes, size: tuple[int, int]) -> Images:
    """Pixels uint8 [H, W, 3]: upright by EXIF, the first frame, transparency on white, squashed."""
    with warnings.catch_warnings():
        # a picture of such a size is a mistake or an attack, not something to learn from
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (2 * max(size), 2 * max(size)))
            upright = ImageOps.exif_transpose(image)
            resized = _on_white(upright).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    white = Image.new("RGBA", clear.size, "white")
    return Image.alpha_composite(white, clear).convert("RGB")


def _files_by_class(folder: Path) -> tuple[list[tuple[Path, str]], list[DataProblem]]:
    """Files with the name of their class, in a stable order; files outside of any class."""
    if not folder.is_dir():
        raise DatasetUnreadable(
            f"{folder} is not a folder; expected one folder of pictures a class"
        )
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not _hidden(path))
    if classes and {path.name.lower() for path in classes} <= SPLIT_FOLDERS:
        raise DatasetUnreadable(
            f"{folder} holds the splits {', '.join(path.name for path in classes)}, not classes; "
            f"name one of them, for instance {classes[0]}"
        )
    if not classes:
        raise DatasetUnreadable(f"{folder} has no folders; expected one folder of pictures a class")
    labelled = [
        (path, label.name)
        for label in classes
        for path in sorted(label.rglob("*"))
        if path.is_file() and not _hidden(path)
    ]
    strays = sorted(path for path in folder.iterdir() if path.is_file() and not _hidden(path))
    return labelled, [DataProblem(path, None, "is not in the folder of a class") for path in strays]


def _hidden(path: Path) -> bool:
    """Files that file managers leave behind."""
    return path.name.startswith(".") or path.name in ("Thumbs.db", "desktop.ini", "__MACOSX")


def _read_into(images: Images, row: int, path: Path, read: DecodeImage) -> DataProblem | None:
    try:
        pixels = read(path.read_bytes())
    except Exception as error:  # broken pictures make decoders raise nearly anything
        return DataProblem(path, None, f"cannot be read as a picture: {error}")
    if pixels.shape != images.shape[1:]:
        return DataProblem(path, None, f"was decoded to {pixels.shape}, not {images.shape[1:]}")
    images[row] = pixels
    return None

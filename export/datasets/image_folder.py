"""The user's own pictures: a folder with one folder a class, whatever sizes and formats."""

from pathlib import Path

import numpy as np

from export.datasets.errors import DatasetUnreadable
from export.datasets.progress import show_if_slow
from export.datasets.rows import LabelledImages
from export.datasets.user_data import (
    MAX_BAD_SHARE,
    DataProblem,
    UserData,
    class_names,
    own_origin,
    require_mostly_good,
)
from model_zoo.manifest import ImageInput
from service.errors import ServiceError
from service.tasks.images import ImageLimits, ImageReader

SPLIT_FOLDERS = {"train", "val", "valid", "validation", "dev", "test"}
# the user's own camera is trusted with more than a stranger's request
OWN_LIMITS = ImageLimits(max_pixels=200_000_000)


def load_image_folder(
    folder: Path, spec: ImageInput, *, max_bad_share: float = MAX_BAD_SHARE
) -> UserData[LabelledImages]:
    """Every picture below `folder/CLASS/`, read as the service will read them (by size and fit
    of `spec`; its mean and std are not looked at)."""
    labelled, problems = _files_by_class(folder)
    reader = ImageReader(spec, OWN_LIMITS)
    images = np.empty((len(labelled), spec.height, spec.width, 3), dtype=np.uint8)
    good: list[tuple[Path, str]] = []
    for path, label in show_if_slow(labelled, f"Pictures in {folder.name}", len(labelled)):
        try:
            images[len(good)] = reader.pixels(path.read_bytes())
        except (ServiceError, OSError) as error:
            problems.append(DataProblem(path, None, f"cannot be read as a picture: {error}"))
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

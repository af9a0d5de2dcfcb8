"""Pictures for the image recipe: CIFAR-10, the user's folders, or drawings for a trial."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from export.console import Story
from export.datasets import cifar10
from export.datasets.errors import DatasetMissing
from export.datasets.generated import shapes
from export.datasets.image_folder import load_image_folder
from export.datasets.rows import LabelledImages
from export.datasets.sources import data_root
from export.datasets.splits import stratified
from export.datasets.user_data import describe, require_parts
from export.options import Options
from model_zoo.manifest import ImageInput

VALIDATION_SHARE, TEST_SHARE, SPLIT_SEED = 0.1, 0.1, 0
QUICK_TRAIN, QUICK_TEST = 1000, 300


@dataclass(frozen=True)
class ImageData:
    """Three disjoint splits, the data set's short name, and whether it is the public one."""

    name: str
    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    is_public: bool


def is_own(options: Options) -> bool:
    """Whether the options name pictures of the user's own."""
    return options.data is not None and not cifar10.is_here(options.data)


def load(options: Options, size: ImageInput, story: Story) -> ImageData:
    """The data that the options ask for; raises DatasetError with what to do."""
    if options.data is not None and is_own(options):
        user = load_image_folder(options.data, size)
        if user.problems:
            story.say(f"{len(user.problems)} files were left out:\n{describe(user.problems)}")
        return _carved(options.data.name or "images", user.rows)
    try:
        data = cifar10.load(options.data or data_root())
    except DatasetMissing:
        if not options.quick:
            raise
        story.say("no CIFAR-10 here: drawing shapes for the trial")
        return _carved("shapes", shapes(QUICK_TRAIN + QUICK_TEST))
    split = stratified(data.train.labels, validation=VALIDATION_SHARE, seed=SPLIT_SEED)
    train, validation = data.train.take(split.train), data.train.take(split.validation)
    if not options.quick:
        return ImageData("CIFAR-10", train, validation, data.test, is_public=True)
    train, validation = train.take(range(QUICK_TRAIN)), validation.take(range(QUICK_TEST))
    return ImageData(
        "CIFAR-10", train, validation, data.test.take(range(QUICK_TEST)), is_public=False
    )


def encoded(data: LabelledImages) -> Sequence[bytes]:
    """The pictures as files, as a client would send them: the user's own, or lossless PNG."""
    if data.files:
        return [path.read_bytes() for path in data.files]
    return [_png(image) for image in data.images]


def colour_statistics(
    data: Sequence[LabelledImages],
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of red, green and blue on a scale of 0 to 1."""
    count = sum(part.images[..., 0].size for part in data)
    sums = sum(part.images.sum(axis=(0, 1, 2), dtype=np.float64) for part in data)
    squares = sum(
        (chunk.astype(np.float64) ** 2).sum(axis=(0, 1, 2))
        for part in data
        for chunk in np.array_split(part.images, max(1, len(part) // 1000))
    )
    mean = np.asarray(sums) / count
    deviation = np.sqrt(np.maximum(np.asarray(squares) / count - mean**2, 1.0))
    means, deviations = (mean / 255).round(4).tolist(), (deviation / 255).round(4).tolist()
    return (means[0], means[1], means[2]), (deviations[0], deviations[1], deviations[2])


def _carved(name: str, rows: LabelledImages) -> ImageData:
    split = stratified(rows.labels, validation=TEST_SHARE, test=TEST_SHARE, seed=SPLIT_SEED)
    require_parts(name, validation=len(split.validation), test=len(split.test))
    return ImageData(
        name,
        rows.take(split.train),
        rows.take(split.validation),
        rows.take(split.test),
        is_public=False,
    )


def _png(image: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bytes:
    target = io.BytesIO()
    Image.fromarray(image).save(target, "PNG", compress_level=1)
    return target.getvalue()

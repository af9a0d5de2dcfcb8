"""Turns the bytes of an image into the tensor that a network wants. Shapes: C channels (R, G, B),
H height, W width.

Cost stays bounded whatever arrives: the size is checked before any pixel is unpacked, and big
JPEGs are decoded at a fraction of their size.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from model_zoo.manifest import ImageInput
from service.errors import InvalidInput, PayloadTooLarge, ServiceError
from service.tasks import jpeg
from service.tasks.image_formats import open_image, recognise
from service.tasks.image_headers import declared_pixels
from service.tasks.image_modes import orientation, swaps_sides, to_eight_bit, upright

FILTERS = {
    "bilinear": Resampling.BILINEAR,
    "bicubic": Resampling.BICUBIC,
    "lanczos": Resampling.LANCZOS,
    "box": Resampling.BOX,
}
DRAFT_GAP = 2  # a JPEG is unpacked at least this many times bigger than needed
REDUCING_GAP = 3.0  # same for the quick first step of a resize: no visible difference above it


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is refused before it costs anything. Sides in pixels."""

    max_pixels: int = 25_000_000
    min_side: int = 1
    max_side: int = 65_535


class ImageReader:
    """Reads images as one model wants them. Safe to share between threads."""

    def __init__(self, spec: ImageInput, limits: ImageLimits | None = None) -> None:
        self._size = (spec.width, spec.height)
        self._filter = FILTERS[spec.interpolation]
        self._crops = spec.fit == "crop"
        self._limits = limits or ImageLimits()
        # (x / 255 - mean) / std as one multiplication and one addition
        std_C11 = np.asarray(spec.std, np.float64).reshape(3, 1, 1)
        mean_C11 = np.asarray(spec.mean, np.float64).reshape(3, 1, 1)
        self._scale_C11 = (1 / (255 * std_C11)).astype(np.float32)
        self._shift_C11 = (-mean_C11 / std_C11).astype(np.float32)

    def read(self, data: bytes) -> NDArray[np.float32]:
        """The normalised tensor, [C, H, W]; errors as `pixels`."""
        return self.normalise(self.pixels(data))

    def takes_short_way(self, data: bytes) -> bool:
        """Whether this is a plain JPEG of the wanted size, which takes microseconds to read."""
        return jpeg.is_of_size(data, self._size)

    def pixels_at_a_glance(self, data: bytes) -> int:
        """How many pixels will be unpacked, as far as the first bytes tell; 0 for more than may."""
        pixels = declared_pixels(data)
        return pixels if pixels <= self._limits.max_pixels else 0

    def pixels(self, data: bytes) -> NDArray[np.uint8]:
        """The image as RGB bytes, [H, W, C], upright and of the wanted size; may be read-only.

        Raises InvalidInput, UnsupportedMedia or PayloadTooLarge; each says what to do.
        """
        quick_HWC = jpeg.pixels_of_size(data, self._size)
        if quick_HWC is not None:
            return quick_HWC
        entry = recognise(data)
        with _explaining(entry.name):
            image = open_image(data, entry)
            self._check(image.size)
            return self._fitted(image)

    def normalise(self, pixels_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(x / 255 - mean) / std, [C, H, W], contiguous."""
        x_CHW = np.multiply(pixels_HWC.transpose(2, 0, 1), self._scale_C11, order="C")
        x_CHW += self._shift_C11
        return x_CHW

    def _check(self, size: tuple[int, int]) -> None:
        limits, (width, height) = self._limits, size
        if width * height > limits.max_pixels or max(size) > limits.max_side:
            raise PayloadTooLarge(
                f"The image has {width:,} x {height:,} pixels; accepted are {limits.max_pixels:,} "
                f"in all and {limits.max_side:,} a side. Send a smaller one."
            )
        if min(size) < max(1, limits.min_side):
            raise InvalidInput(
                f"The image has {width:,} x {height:,} pixels; each side needs at least "
                f"{max(1, limits.min_side):,}. Send a bigger one."
            )

    def _fitted(self, image: Image.Image) -> NDArray[np.uint8]:
        side = DRAFT_GAP * max(self._size)
        image.draft(None, (side, side))
        image.load()
        turn = orientation(image)
        size = self._size[::-1] if swaps_sides(turn) else self._size
        # turned last, when there are few pixels left to turn
        small = upright(self._resized(to_eight_bit(image), size), turn)
        return np.asarray(small if small.mode == "RGB" else small.convert("RGB"))

    def _resized(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        if image.size == size:
            return image
        box = _centre(image.size, size) if self._crops else None
        return image.resize(size, self._filter, box, reducing_gap=REDUCING_GAP)


def decode(data: bytes, spec: ImageInput, limits: ImageLimits | None = None) -> NDArray[np.float32]:
    """One image as the tensor that `spec` describes, [C, H, W]; errors as `ImageReader.pixels`."""
    return ImageReader(spec, limits).read(data)


def _centre(size: tuple[int, int], target: tuple[int, int]) -> tuple[float, float, float, float]:
    """The biggest centred box of the target's shape: resize to it = resize, then centre crop."""
    scale = min(size[0] / target[0], size[1] / target[1])
    width, height = target[0] * scale, target[1] * scale
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return max(left, 0.0), max(top, 0.0), min(left + width, size[0]), min(top + height, size[1])


@contextmanager
def _explaining(name: str) -> Iterator[None]:
    """Turns whatever Pillow raises on a stranger's bytes into an error that says what to do."""
    try:
        yield
    except ServiceError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise PayloadTooLarge(f"The {name} image is too big. Send a smaller one.") from error
    except Exception as error:  # its readers raise nearly every type there is
        raise InvalidInput(
            f"The {name} image is damaged or cut short. "
            "Send the whole file, or save it again as JPEG or PNG."
        ) from error

"""Every way of storing colours, brought to 8-bit grey or RGB on a white ground, upright."""

import numpy as np
from PIL import Image
from PIL.Image import Transpose

_ORIENTATION = 0x0112  # the EXIF tag
MAX_EXIF_BYTES = 65_536  # as much as a JPEG can hold in one piece; Pillow reads it in Python
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_SWAPS_SIDES = frozenset((5, 6, 7, 8))
_FROM_16_BIT = np.round(np.arange(65_536) / 257).astype(np.uint8)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, of a loaded image; 1 when it has none that can be read."""
    try:
        if _has_long_exif(image):
            return 1
        value = image.getexif().get(_ORIENTATION, 1)
        return value if value in _UPRIGHT else 1
    except Exception:  # damaged EXIF of any kind says nothing about the pixels
        return 1


def _has_long_exif(image: Image.Image) -> bool:
    as_hex = image.info.get("Raw profile type exif", "")  # in texts of PNG, by ImageMagick
    return max(len(image.info.get("exif", b"")), len(as_hex) // 2) > MAX_EXIF_BYTES


def swaps_sides(turn: int) -> bool:
    """Whether this orientation exchanges width and height."""
    return turn in _SWAPS_SIDES


def upright(image: Image.Image, turn: int) -> Image.Image:
    """The image turned or mirrored as its orientation asks for."""
    return image if turn == 1 else image.transpose(_UPRIGHT[turn])


def to_eight_bit(image: Image.Image) -> Image.Image:
    """The loaded image in mode L or RGB; transparent parts show white."""
    if image.mode.startswith("I;16"):
        return _from_16_bit(image)
    if image.has_transparency_data:
        return _on_white(image)
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    grey_HW = np.asarray(image)
    eight_bit_HW = _FROM_16_BIT[grey_HW]
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        eight_bit_HW[grey_HW == transparent] = 255
    return Image.fromarray(eight_bit_HW)


def _on_white(image: Image.Image) -> Image.Image:
    key = image.info.get("transparency")
    if isinstance(key, tuple) and max(key) > 255:
        # the pixels of a 16-bit RGB file were cut to their high bytes, its key was not
        image.info["transparency"] = tuple(value >> 8 for value in key)
    colours = image.convert("RGBA")
    ground = Image.new("RGB", image.size, "white")
    ground.paste(colours, mask=colours)
    return ground

"""A short way for the JPEG that already has the wanted size, as most small pictures have.

Pillow spends more time on reading the headers of a 32 x 32 picture than on decoding it. Where the
headers hold nothing that needs attention, the decoder is called at once; anything else goes the
long way. The pixels are the same on both ways.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_APP0, _COMMENT, _FRAME, _SCAN = 0xE0, 0xFE, 0xC0, 0xDA
_TABLES = frozenset((0xC4, 0xDB, 0xDD, _APP0, _COMMENT))  # Huffman, quantisation, restarts
_FRAME_LENGTH = 17  # of a frame with three components
_MAX_SEGMENTS = 32
MAX_SCANS = 50


def has_too_many_scans(data: bytes) -> bool:
    """Whether decoding may take more than MAX_SCANS passes over the picture; usual are 1 to 12.

    A file of a megabyte can ask for a hundred thousand.
    """
    return data.count(b"\xff\xda") > MAX_SCANS


def is_of_size(data: bytes, size: tuple[int, int]) -> bool:
    """Whether this is a plain colour JPEG of exactly this (width, height)."""
    return _plain_size(data) == size and not has_too_many_scans(data)


def pixels_of_size(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """The pixels, [height, width, 3], of a plain colour JPEG of exactly this (width, height).

    None when the file is anything else or cannot be decoded; the long way will tell which.
    """
    if not is_of_size(data, size):
        return None
    try:
        image = Image.frombytes("RGB", size, data, "jpeg", "RGB", "")
    except (OSError, ValueError):
        return None
    width, height = size
    return np.frombuffer(image.tobytes(), np.uint8).reshape(height, width, 3)


def _plain_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a baseline picture of 3 components without EXIF or colour markers.

    The decoder trusts the size it is told, so this walk must see the very segments that libjpeg
    sees: the first byte that is not where it should be ends it.
    """
    if data[:2] != b"\xff\xd8":
        return None
    size: tuple[int, int] | None = None
    start, end = 2, len(data) - 4
    for _ in range(_MAX_SEGMENTS):
        if start > end or data[start] != 0xFF:
            return None
        marker = data[start + 1]
        length = data[start + 2] << 8 | data[start + 3]
        if marker == _SCAN:
            return size
        if marker == _FRAME and size is None:
            size = _frame_size(data[start + 4 : start + 2 + length])
            if size is None:
                return None
        elif marker not in _TABLES or length < 2:
            return None
        start += 2 + length
    return None


def _frame_size(frame: bytes) -> tuple[int, int] | None:
    if len(frame) != _FRAME_LENGTH - 2 or frame[0] != 8 or frame[5] != 3:
        return None
    height, width = frame[1] << 8 | frame[2], frame[3] << 8 | frame[4]
    return width, height

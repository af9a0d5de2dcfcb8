"""A short way for the JPEG that already has the wanted size, as most small pictures have.

For a 32 x 32 picture Pillow takes several times as long as the decoding in it: it reads the headers
in Python, and its libjpeg-turbo asks anew for every picture what the processor can do, which a
virtual machine answers slowly. Where the headers hold nothing that needs attention, simplejpeg
calls the same decoder at once; anything else goes the long way. The pixels are the same on both.
"""

import numpy as np
import simplejpeg
from numpy.typing import NDArray

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
        pixels_HWC: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except ValueError:
        return None
    return pixels_HWC if pixels_HWC.shape == (*size[::-1], 3) else None


def _plain_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a baseline picture of 3 components without EXIF or colour markers.

    The walk must see the very segments that libjpeg sees, or that would unpack what it likes: the
    first byte that is not where it should be ends it.
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

"""Tells whether a file's headers are of a sensible number of pieces.

Pillow reads headers in Python, piece by piece, and a file can hold millions of them. These walks
only hop from one to the next and give up early.
"""

MAX_PIECES = 20_000  # PNG chunks; blocks of GIF extensions
MAX_JPEG_SEGMENTS = 1_000
MAX_JPEG_JUNK_BYTES = 65_536  # between two segments

_START_OF_SCAN = 0xDA
_FILL = (0x00, 0xFF)
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xDA)))
_GIF_EXTENSION = 0x21
_GIF_LAST = (0x2C, 0x3B)  # the first picture, or the end


def png_is_sane(data: bytes) -> bool:
    """Whether the whole file has at most MAX_PIECES chunks."""
    position = 8
    for _ in range(MAX_PIECES):
        if position >= len(data):
            return True
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return False


def gif_is_sane(data: bytes) -> bool:
    """Whether at most MAX_PIECES blocks stand before the first picture."""
    position = 13
    if len(data) > position and data[10] & 0x80:
        position += 3 << (data[10] & 7) + 1
    inside = False
    for _ in range(MAX_PIECES):
        if position >= len(data):
            return True
        byte = data[position]
        if inside:
            position += 1 + byte
            inside = byte > 0
        elif byte == _GIF_EXTENSION:
            position += 2
            inside = True
        elif byte in _GIF_LAST:
            return True
        else:
            position += 1
    return False


def jpeg_is_sane(data: bytes) -> bool:
    """Whether at most MAX_JPEG_SEGMENTS, and little junk, stand before the picture."""
    position = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        start = data.find(b"\xff", position, position + MAX_JPEG_JUNK_BYTES)
        if start < 0:
            return position + MAX_JPEG_JUNK_BYTES >= len(data)
        marker = data[start + 1] if start + 1 < len(data) else _START_OF_SCAN
        if marker == _START_OF_SCAN:
            return True
        if marker in _FILL:
            position = start + 1
        elif marker in _WITHOUT_LENGTH:
            position = start + 2
        else:
            position = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    return False

"""Tells whether a file's headers are of a sensible number of pieces, and what size they promise.

Pillow reads headers in Python, piece by piece, and a file can hold millions of them. These walks
only hop from one to the next and give up early.
"""

MAX_PIECES = 20_000  # PNG chunks; blocks of GIF extensions
MAX_JPEG_SEGMENTS = 1_000
MAX_JPEG_JUNK_BYTES = 65_536  # between two segments

_START_OF_SCAN = 0xDA
_MOST_BOXES = 4096  # bytes of an AVIF before it tells its size
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


def declared_pixels(data: bytes) -> int:
    """The pixels that a file says it has, at a glance; 0 where none are told, as by a JPEG."""
    if data.startswith(b"\x89PNG"):
        width, height = data[16:20], data[20:24]
        return int.from_bytes(width, "big") * int.from_bytes(height, "big")
    if data.startswith(b"GIF8"):
        return int.from_bytes(data[6:8], "little") * int.from_bytes(data[8:10], "little")
    if data.startswith(b"BM"):
        width, height = data[18:22], data[22:26]
        upward = int.from_bytes(height, "little", signed=True)
        return int.from_bytes(width, "little") * abs(upward)
    if data[8:12] == b"WEBP":
        return _webp_pixels(data)
    if data[4:8] == b"ftyp":
        place = data.find(b"ispe", 0, _MOST_BOXES)
        if place >= 0:
            width, height = data[place + 8 : place + 12], data[place + 12 : place + 16]
            return int.from_bytes(width, "big") * int.from_bytes(height, "big")
    return 0


def _webp_pixels(data: bytes) -> int:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = data[24:27], data[27:30]
        return (1 + int.from_bytes(width, "little")) * (1 + int.from_bytes(height, "little"))
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (1 + (bits & 0x3FFF)) * (1 + (bits >> 14 & 0x3FFF))
    bits = int.from_bytes(data[26:30], "little")
    return (bits & 0x3FFF) * (bits >> 16 & 0x3FFF)

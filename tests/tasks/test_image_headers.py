import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from service.tasks.image_headers import (
    MAX_JPEG_JUNK_BYTES,
    MAX_JPEG_SEGMENTS,
    MAX_PIECES,
    declared_pixels,
    gif_is_sane,
    jpeg_is_sane,
    png_is_sane,
)
from tests.tasks.samples import file_of, picture

SCAN = b"\xff\xda\x00\x02"
GIF = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
GIF_WITH_COLOURS = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b",;,;,;"
PICTURE = b","


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def test_ordinary_files_are_sane() -> None:
    assert png_is_sane(file_of(picture(300, 300)))
    assert gif_is_sane(file_of(picture(300, 300), "GIF"))
    assert jpeg_is_sane(file_of(picture(300, 300), "JPEG", comment=b"x" * 60_000))


def test_chunks_are_counted_to_the_end_of_the_file() -> None:
    start = b"\x89PNG\r\n\x1a\n"
    most = MAX_PIECES - 1
    assert png_is_sane(start + chunk(b"abCd", b"xyz") * most)
    assert not png_is_sane(start + chunk(b"abCd", b"xyz") * (most + 1) + chunk(b"IEND"))


def test_segments_are_counted_up_to_the_picture() -> None:
    most = MAX_JPEG_SEGMENTS - 1
    for segment in (b"\xff\xfe\x00\x05xyz", b"\xff\xd0", b"\xff\x00"):
        assert jpeg_is_sane(b"\xff\xd8" + segment * most + SCAN)
        assert not jpeg_is_sane(b"\xff\xd8" + segment * (most + 1) + SCAN)
    assert jpeg_is_sane(b"\xff\xd8" + SCAN + b"\xff\xd0" * 5000)


def test_a_marker_within_a_segment_is_not_counted() -> None:
    assert not jpeg_is_sane(b"\xff\xd8" + (b"\xff\xfe\x00\x06" + SCAN) * MAX_JPEG_SEGMENTS + SCAN)


def test_junk_between_segments_is_bounded() -> None:
    assert jpeg_is_sane(b"\xff\xd8" + bytes(MAX_JPEG_JUNK_BYTES - 1) + SCAN)
    assert not jpeg_is_sane(b"\xff\xd8" + bytes(MAX_JPEG_JUNK_BYTES) + SCAN)


def test_blocks_are_counted_up_to_the_first_picture() -> None:
    extension = b"\x21\xfe\x02ab\x00"  # three steps: the extension, its block, its end
    assert gif_is_sane(GIF + extension * (MAX_PIECES // 3) + PICTURE)
    assert not gif_is_sane(GIF + extension * (MAX_PIECES // 3 + 1) + PICTURE)
    assert gif_is_sane(GIF + PICTURE + extension * MAX_PIECES)


def test_a_comma_within_a_block_is_no_picture() -> None:
    block = bytes([0x2C]) + b"," * 0x2C
    assert not gif_is_sane(GIF + b"\x21\xfe" + block * MAX_PIECES + b"\x00" + PICTURE)


def test_a_table_of_colours_is_stepped_over() -> None:
    assert not gif_is_sane(GIF_WITH_COLOURS + b"\x00" * MAX_PIECES + PICTURE)
    assert gif_is_sane(GIF_WITH_COLOURS + PICTURE)


def test_a_file_that_ends_early_is_left_to_the_reader() -> None:
    assert png_is_sane(b"\x89PNG\r\n\x1a\n\x00\x00")
    assert gif_is_sane(b"GIF89a")
    for data in (
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0",
        b"\xff\xd8\xff\xe0\xff\xff",
        b"\xff\xd8\x00",
    ):
        assert jpeg_is_sane(data)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "WEBP", "AVIF"])
@pytest.mark.parametrize("more", [{}, {"lossless": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08"}])
def test_pixels_are_told_at_a_glance(kind: str, more: dict[str, Any]) -> None:
    file = io.BytesIO()
    Image.new("RGB", (300, 200)).save(file, kind, **(more if kind == "WEBP" else {}))
    assert declared_pixels(file.getvalue()) == 60_000


def test_a_bitmap_may_stand_on_its_head() -> None:
    assert declared_pixels(b"BM" + bytes(16) + struct.pack("<ii", 3, -200)) == 600


@pytest.mark.parametrize("data", [b"", b"\x89PNG", b"GIF8", b"BM", b"\xff\xd8\xff", b"....ftyp"])
def test_where_no_size_is_told_there_are_no_pixels(data: bytes) -> None:
    assert declared_pixels(data) == 0

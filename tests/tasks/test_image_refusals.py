import contextlib
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from service.errors import InvalidInput, PayloadTooLarge, ServiceError, UnsupportedMedia
from service.tasks.image_formats import ACCEPTED
from service.tasks.images import ImageLimits, ImageReader
from tests.tasks.samples import file_of, image_input, picture

# pytest turns every warning into an error; the service drops those of Pillow about metadata
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

READER = ImageReader(image_input())


def header_only(width: int, height: int) -> bytes:
    """A PNG that promises this size and holds next to nothing."""
    data = bytearray(file_of(Image.new("RGB", (1, 1))))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(data)


def fix_crc(data: bytes) -> bytes:
    return data[:29] + zlib.crc32(data[12:29]).to_bytes(4, "big") + data[33:]


def test_too_many_pixels_are_refused_before_they_are_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(image: object) -> None:
        raise AssertionError("unpacked")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(PayloadTooLarge, match=r"13,000 x 13,000 .* smaller"):
        READER.pixels(fix_crc(header_only(13_000, 13_000)))


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (65_536, 1)])
def test_bombs_are_refused_without_a_warning(size: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PayloadTooLarge):
            READER.pixels(fix_crc(header_only(*size)))


def test_a_gif_whose_first_frame_is_a_bomb_is_refused() -> None:
    data = bytearray(file_of(Image.new("P", (8, 8)), "GIF"))
    frame = data.index(b",", 13 + 3 * 256 if data[10] & 7 == 7 else 13)
    for side in (11_000, 65_535):  # one that Pillow would warn about, and one it refuses
        data[frame + 5 : frame + 9] = side.to_bytes(2, "little") * 2
        with pytest.raises(PayloadTooLarge):
            READER.pixels(bytes(data))


def test_limits_can_be_set() -> None:
    small = ImageReader(image_input(), ImageLimits(max_pixels=100, min_side=5, max_side=20))
    assert small.pixels(file_of(picture(10, 10))).shape == (32, 32, 3)
    with pytest.raises(PayloadTooLarge, match="accepted are 100 in all"):
        small.pixels(file_of(picture(11, 10)))
    with pytest.raises(PayloadTooLarge, match="20 a side"):
        small.pixels(file_of(picture(21, 4)))
    with pytest.raises(InvalidInput, match=r"each side needs at least 5.*bigger"):
        small.pixels(file_of(picture(10, 4)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_a_file_that_is_cut_short_says_what_to_do(kind: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    whole = file_of(Image.fromarray(noise), kind)
    for keep in (0.9, 0.5, 0.1):
        with pytest.raises(InvalidInput, match=r"damaged or cut short.*Send the whole file"):
            READER.pixels(whole[: int(len(whole) * keep)])


def test_nothing_is_said_to_be_empty() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        READER.pixels(b"")


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"II*\x00rest", "TIFF"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"\xef\xbb\xbf\n <svg/>", "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b'{"images": []}', "JSON"),
        (b"\x00\x00\x01\x00\x01\x00", "icon"),
        (b"hello", "no image"),
        (b"\x00", "no image"),
    ],
)
def test_other_files_are_refused_naming_what_is_accepted(data: bytes, named: str) -> None:
    with pytest.raises(UnsupportedMedia, match=named) as refusal:
        READER.pixels(data)
    assert ACCEPTED in refusal.value.detail
    assert "JPEG, PNG" in ACCEPTED


def test_tiff_is_refused_even_when_pillow_could_read_it() -> None:
    with pytest.raises(UnsupportedMedia, match="TIFF"):
        READER.pixels(file_of(picture(), "TIFF"))


def test_what_pillow_finds_wrong_is_kept_as_the_cause() -> None:
    with pytest.raises(InvalidInput) as refusal:
        READER.pixels(file_of(picture())[:60])
    assert refusal.value.__cause__ is not None


def test_lack_of_memory_is_the_images_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(image: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(PayloadTooLarge):
        READER.pixels(file_of(picture()))


def _jpeg_with(insert: bytes) -> bytes:
    whole = file_of(picture(), "JPEG")
    return whole[:2] + insert + whole[2:]


def _png_with(insert: bytes) -> bytes:
    whole = file_of(picture())
    return whole[:33] + insert + whole[33:]


def _gif_with(insert: bytes) -> bytes:
    whole = file_of(picture(), "GIF")
    start = 13 + (3 << (whole[10] & 7) + 1)
    return whole[:start] + insert + whole[start:]


@pytest.mark.parametrize(
    ("make", "piece"),
    [
        (_jpeg_with, b"\xff\xfe\x00\x02"),
        (_jpeg_with, b"\xff"),
        (_jpeg_with, b"\xff\xd0"),
        (_png_with, b"\x00\x00\x00\x00abCd\x3f\x3d\x9f\x3c"),
        (_gif_with, b"\x21\xfe\x01a\x00"),
        (_gif_with, b"\x00"),
    ],
)
def test_endless_headers_are_refused_at_once(make: Callable[[bytes], bytes], piece: bytes) -> None:
    with pytest.raises(InvalidInput, match="too many headers"):
        READER.pixels(make(piece * 200_000))


def test_a_gif_comment_of_many_blocks_counts_as_many() -> None:
    with pytest.raises(InvalidInput, match="too many headers"):
        READER.pixels(_gif_with(b"\x21\xfe" + b"\x01a" * 30_000 + b"\x00"))


def test_some_metadata_is_no_reason_to_refuse() -> None:
    comments = b"\xff\xfe\x00\x06abcd" * 200 + b"\xff" * 50
    assert READER.pixels(_jpeg_with(comments)).shape == (32, 32, 3)
    assert READER.pixels(_gif_with(b"\x21\xfe\x01a\x00" * 200)).shape == (32, 32, 3)


def test_a_jpeg_of_endless_passes_is_refused() -> None:
    whole = file_of(picture(64, 64), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    with pytest.raises(InvalidInput, match="passes"):
        READER.pixels(whole[:-2] + whole[last:-2] * 1000 + whole[-2:])


def test_a_big_bmp_with_run_lengths_is_refused() -> None:
    header = bytearray(file_of(Image.new("P", (4, 4)), "BMP"))
    header[18:26] = (3000).to_bytes(4, "little") * 2
    header[30:34] = (1).to_bytes(4, "little")
    with pytest.raises(PayloadTooLarge, match="run-length"):
        READER.pixels(bytes(header))


def _bmp_with_run_lengths(runs: bytes) -> bytes:
    header = bytearray(file_of(Image.new("P", (4, 4)), "BMP")[:-16])
    header[30:34] = (1).to_bytes(4, "little")
    return bytes(header) + runs


def test_a_bmp_whose_run_lengths_add_no_pixels_is_refused() -> None:
    four_rows = b"\x04\x01\x00\x00" * 4
    assert READER.pixels(_bmp_with_run_lengths(four_rows)).shape == (32, 32, 3)
    with pytest.raises(InvalidInput, match="more run lengths than pixels"):
        READER.pixels(_bmp_with_run_lengths(b"\x04\x01" * 40_000 + four_rows))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_random_damage_gives_a_picture_or_a_clear_refusal(kind: str) -> None:
    rng = np.random.default_rng(7)
    whole = np.frombuffer(file_of(picture(40, 40), kind), np.uint8)
    for _ in range(300):
        hurt = whole.copy()
        places = rng.integers(0, len(hurt), rng.integers(1, 8))
        hurt[places] = rng.integers(0, 256, len(places))
        data = hurt.tobytes()[: rng.integers(1, 2 * len(hurt))]
        with contextlib.suppress(ServiceError):
            assert READER.read(data).shape == (3, 32, 32)

import contextlib
import struct
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps, features
from PIL.ImageFile import ImageFile

from service.errors import InvalidInput, PayloadTooLarge, ServiceError, UnsupportedMedia
from service.tasks.image_formats import ACCEPTED
from service.tasks.images import ImageLimits, ImageReader, decode
from tests.tasks.samples import file_of, image_input, normalised, picture

# pytest turns every warning into an error; the service drops those of Pillow about metadata
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

READER = ImageReader(image_input())
WHITE = [255, 255, 255]


def reader(width: int, height: int, **options: str) -> ImageReader:
    return ImageReader(image_input(width, height, **options))


def pixels(image: Image.Image, kind: str = "PNG", **options: object) -> NDArray[np.int16]:
    """What the reader makes of this image at its own size."""
    data = file_of(image, kind, **options)
    return reader(*image.size).pixels(data).astype(np.int16)


def difference(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())


def test_a_tensor_is_what_the_definition_says() -> None:
    tensor = decode(file_of(picture()), image_input())
    assert tensor.shape == (3, 32, 32)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    assert difference(tensor, normalised(picture())) < 1e-6


def test_width_and_height_are_not_confused() -> None:
    assert reader(20, 10).read(file_of(picture(40, 20))).shape == (3, 10, 20)
    assert reader(20, 10).read(file_of(picture(20, 10), "JPEG")).shape == (3, 10, 20)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "JPEG", "WEBP", "AVIF"])
def test_every_accepted_format_gives_the_same_picture(kind: str) -> None:
    if kind in ("WEBP", "AVIF") and not features.check(kind.lower()):
        pytest.skip(f"this Pillow is built without {kind}")
    image = picture(64, 48)
    close = 60 if kind == "GIF" else 16  # a palette of 256 colours; lossy coding
    assert difference(pixels(image, kind), np.asarray(image)) <= close
    if kind in ("PNG", "BMP"):
        assert difference(pixels(image, kind), np.asarray(image)) == 0


def test_an_image_of_the_right_size_is_not_resampled() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for fit in ("squash", "crop"):
        found = reader(32, 32, fit=fit).pixels(file_of(Image.fromarray(noise)))
        assert np.array_equal(found, noise)


def test_squash_ignores_the_shape() -> None:
    found = reader(32, 32).pixels(file_of(picture(128, 64)))
    expected = picture(128, 64).resize((32, 32), Image.Resampling.BILINEAR)
    assert difference(found, np.asarray(expected)) <= 1


@pytest.mark.parametrize("size", [(100, 60), (60, 100), (64, 64)])
def test_crop_is_a_resize_of_the_shorter_side_and_then_a_centre_crop(
    size: tuple[int, int],
) -> None:
    found = reader(32, 32, fit="crop", interpolation="bicubic").pixels(file_of(picture(*size)))
    expected = ImageOps.fit(picture(*size), (32, 32), Image.Resampling.BICUBIC)
    assert difference(found, np.asarray(expected)) <= 2


def test_crop_keeps_the_middle_of_a_wide_image() -> None:
    wide = Image.new("RGB", (96, 32), "red")
    wide.paste((0, 0, 255), (32, 0, 64, 32))
    found = reader(32, 32, fit="crop", interpolation="box").pixels(file_of(wide))
    assert np.array_equal(found, np.broadcast_to([0, 0, 255], (32, 32, 3)))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "box"])
def test_a_small_image_is_enlarged(interpolation: str) -> None:
    found = reader(32, 32, interpolation=interpolation).pixels(
        file_of(Image.new("RGB", (1, 1), (9, 8, 7)))
    )
    assert np.array_equal(found, np.broadcast_to([9, 8, 7], (32, 32, 3)))


def test_a_big_jpeg_looks_as_if_it_were_resized_in_full() -> None:
    big = picture(1600, 1200)
    found = READER.pixels(file_of(big, "JPEG", quality=95))
    expected = big.resize((32, 32), Image.Resampling.BILINEAR)
    assert difference(found, np.asarray(expected)) <= 4


def test_a_fine_texture_is_averaged_not_sampled() -> None:
    noise = np.random.default_rng(5).integers(0, 256, (256, 256, 3), np.uint8)
    texture = Image.fromarray(noise)
    found = READER.pixels(file_of(texture, "JPEG", quality=100, subsampling="4:4:4"))
    expected = texture.resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(found.astype(int) - np.asarray(expected)).mean() < 3


def test_a_big_jpeg_is_unpacked_at_a_fraction_of_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = []
    load = ImageFile.load

    def watched(image: ImageFile) -> object:
        sizes.append(image.size)
        return load(image)

    monkeypatch.setattr(ImageFile, "load", watched)
    READER.pixels(file_of(picture(1600, 1200), "JPEG"))
    READER.pixels(file_of(picture(100, 1600), "JPEG"))
    assert set(sizes) == {(200, 150), (100, 1600)}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(orientation: int, kind: str) -> None:
    undo = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]
    tag = Image.Exif()
    tag[0x0112] = undo
    stored = picture(48, 32)
    stored.getexif()[0x0112] = undo
    stored = ImageOps.exif_transpose(stored)
    tag[0x0112] = orientation
    found = reader(48, 32).pixels(file_of(stored, kind, exif=tag, quality=95))
    assert difference(found, np.asarray(picture(48, 32))) <= 16
    small = reader(12, 8).pixels(file_of(stored, kind, exif=tag, quality=95))
    expected = picture(48, 32).resize((12, 8), Image.Resampling.BILINEAR)
    assert difference(small, np.asarray(expected)) <= 16


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0"],
)
def test_a_damaged_exif_block_does_not_matter(exif: bytes) -> None:
    found = READER.pixels(file_of(picture(), "JPEG", exif=exif, quality=95))
    assert difference(found, np.asarray(picture())) <= 16


def test_an_orientation_that_does_not_exist_is_ignored() -> None:
    tag = Image.Exif()
    tag[0x0112] = 77
    found = READER.pixels(file_of(picture(), "JPEG", exif=tag, quality=95))
    assert difference(found, np.asarray(picture())) <= 16


def test_transparent_parts_show_white() -> None:
    image = Image.new("RGBA", (4, 4), (200, 0, 0, 255))
    image.putpixel((0, 0), (1, 2, 3, 0))
    image.putpixel((1, 0), (0, 0, 0, 128))
    found = pixels(image)
    assert found[0, 0].tolist() == WHITE
    assert np.abs(found[0, 1] - 127).max() <= 1
    assert found[3, 3].tolist() == [200, 0, 0]


def test_grey_with_transparency_shows_white() -> None:
    image = Image.new("LA", (2, 1), (10, 255))
    image.putpixel((1, 0), (10, 0))
    assert pixels(image).tolist() == [[[10] * 3, WHITE]]


def test_a_transparent_colour_of_a_palette_shows_white() -> None:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([0, 0, 0, 0, 128, 0])
    image.putpixel((0, 0), 0)
    assert pixels(image, "PNG", transparency=0).tolist() == [[WHITE, [0, 128, 0]]]
    assert pixels(image, "GIF", transparency=0).tolist() == [[WHITE, [0, 128, 0]]]
    assert pixels(image, "PNG", transparency=b"\x00\xff").tolist() == [[WHITE, [0, 128, 0]]]


def test_a_transparent_colour_of_a_plain_image_shows_white() -> None:
    image = Image.new("RGB", (2, 1), (7, 7, 7))
    image.putpixel((1, 0), (7, 7, 8))
    assert pixels(image, transparency=(7, 7, 7)).tolist() == [[WHITE, [7, 7, 8]]]
    grey = Image.new("L", (2, 1), 7)
    grey.putpixel((1, 0), 8)
    assert pixels(grey, transparency=7).tolist() == [[WHITE, [8] * 3]]


def test_sixteen_bits_are_scaled_not_cut() -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    found = pixels(Image.fromarray(values))
    assert found[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


def test_sixteen_bits_with_a_transparent_value_show_white() -> None:
    values = np.array([[1000, 1001]], np.uint16)
    found = pixels(Image.fromarray(values), transparency=1000)
    assert found[0, :, 0].tolist() == [255, 4]


def test_sixteen_bit_colours_with_a_transparent_one_show_white() -> None:
    # drawn by hand, as Pillow writes no such file
    row = struct.pack(">x6H", 0x1234, 0x5678, 0x9ABC, 0x2234, 0x5678, 0x9ABC)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in (
            (b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)),
            (b"tRNS", struct.pack(">3H", 0x1234, 0x5678, 0x9ABC)),
            (b"IDAT", zlib.compress(row)),
            (b"IEND", b""),
        )
    )
    assert reader(2, 1).pixels(data).tolist() == [[WHITE, [0x22, 0x56, 0x9A]]]


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    red = pixels(image, "JPEG", quality=95)[16, 16]
    assert np.abs(red - [255, 0, 0]).max() <= 6


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_simple_modes_become_rgb(mode: str) -> None:
    image = picture().convert(mode)
    assert difference(pixels(image), np.asarray(image.convert("RGB"))) == 0


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "lime")]
    data = file_of(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    assert difference(READER.pixels(data), np.asarray(frames[0])) <= 4


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


def test_one_reader_serves_many_threads() -> None:
    images = [picture(20 + n, 50 - n) for n in range(30)]
    alone = [READER.read(file_of(image, "JPEG")) for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(lambda image: READER.read(file_of(image, "JPEG")), images * 4)
    for n, tensor in enumerate(together):
        assert np.array_equal(tensor, alone[n % len(images)])

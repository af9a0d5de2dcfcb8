import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps, features
from PIL.ImageFile import ImageFile

from service.tasks.image_modes import MAX_EXIF_BYTES
from service.tasks.images import ImageReader, decode
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


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """A file drawn by hand, of the kinds that Pillow does not write."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in (*chunks, (b"IEND", b""))
    )


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


def long_exif(kind: str) -> bytes:
    """A picture with so long an EXIF block that it is not worth reading."""
    exif, plain = bytes(MAX_EXIF_BYTES + 1), file_of(picture(), kind)
    if kind == "PNG":
        block = struct.pack(">I", len(exif)) + b"eXIf" + exif
        return plain[:33] + block + struct.pack(">I", zlib.crc32(b"eXIf" + exif)) + plain[33:]
    # in pieces, which Pillow joins; without JFIF's header it would look there for the DPI
    parts = [b"Exif\0\0" + part for part in (exif[:40_000], exif[40_000:])]
    blocks = [b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in parts]
    return plain[:2] + b"".join(blocks) + plain[20:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_long_exif_is_not_read(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    monkeypatch.setattr(Image.Exif, "load", lambda _, data: asked.append(data))
    assert reader(24, 24).pixels(long_exif(kind)).shape == (24, 24, 3)
    assert not asked


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


@pytest.mark.parametrize(("bits", "row"), [(1, b"\x40"), (2, b"\x10"), (4, b"\x01")])
def test_a_transparent_grey_of_few_bits_shows_white(bits: int, row: bytes) -> None:
    data = png_of(
        (b"IHDR", struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)),
        (b"tRNS", struct.pack(">H", 1)),
        (b"IDAT", zlib.compress(b"\x00" + row)),  # 0 and 1
    )
    assert reader(2, 1).pixels(data).tolist() == [[[0, 0, 0], WHITE]]


def test_sixteen_bits_are_scaled_not_cut() -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    found = pixels(Image.fromarray(values))
    assert found[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


def test_sixteen_bits_with_a_transparent_value_show_white() -> None:
    values = np.array([[1000, 1001]], np.uint16)
    found = pixels(Image.fromarray(values), transparency=1000)
    assert found[0, :, 0].tolist() == [255, 4]


def test_sixteen_bit_colours_with_a_transparent_one_show_white() -> None:
    row = struct.pack(">x6H", 0x1234, 0x5678, 0x9ABC, 0x2234, 0x5678, 0x9ABC)
    data = png_of(
        (b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)),
        (b"tRNS", struct.pack(">3H", 0x1234, 0x5678, 0x9ABC)),
        (b"IDAT", zlib.compress(row)),
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


def test_one_reader_serves_many_threads() -> None:
    images = [picture(20 + n, 50 - n) for n in range(30)]
    alone = [READER.read(file_of(image, "JPEG")) for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(lambda image: READER.read(file_of(image, "JPEG")), images * 4)
    for n, tensor in enumerate(together):
        assert np.array_equal(tensor, alone[n % len(images)])

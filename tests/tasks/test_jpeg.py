import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import JpegImagePlugin

from service.tasks import jpeg
from tests.tasks.samples import file_of, picture

SIZE = (32, 32)


def long_way(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(JpegImagePlugin.JpegImageFile(io.BytesIO(data)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"quality": 30},
        {"quality": 100, "subsampling": "4:4:4"},
        {"subsampling": "4:2:0"},
        {"subsampling": "4:2:2", "optimize": True},
        {"comment": b"a comment"},
        {"restart_marker_blocks": 2},
        {"keep_rgb": True},
        {"dpi": (300, 300)},
    ],
)
def test_the_short_way_gives_the_pixels_of_the_long_way(options: dict[str, Any]) -> None:
    data = file_of(picture(), "JPEG", **options)
    found = jpeg.pixels_of_size(data, SIZE)
    if options.get("keep_rgb"):  # has a marker about colours
        assert found is None
        return
    assert found is not None
    assert np.array_equal(found, long_way(data))


def test_sides_are_not_confused() -> None:
    data = file_of(picture(40, 24), "JPEG")
    found = jpeg.pixels_of_size(data, (40, 24))
    assert found is not None
    assert found.shape == (24, 40, 3)
    assert jpeg.pixels_of_size(data, (24, 40)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\xff\xd8",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\x00",
        b"\xff\xd8" + b"\xff\xfe\x00\x02" * 100,
        file_of(picture(33, 32), "JPEG"),
        file_of(picture().convert("L"), "JPEG"),
        file_of(picture().convert("CMYK"), "JPEG"),
        file_of(picture(), "JPEG", progressive=True),
        file_of(picture(), "JPEG", exif=b"Exif\0\0II*\0"),
        file_of(picture(), "JPEG")[:400],
        file_of(picture(), "JPEG")[:-300],
        file_of(picture(), "PNG"),
    ],
)
def test_anything_unusual_goes_the_long_way(data: bytes) -> None:
    assert jpeg.pixels_of_size(data, SIZE) is None


def test_two_frames_go_the_long_way() -> None:
    data = file_of(picture(), "JPEG")
    start = data.index(b"\xff\xc0")
    frame = data[start : start + 19]
    assert jpeg.pixels_of_size(data[:start] + frame + data[start:], SIZE) is None


def test_a_frame_within_another_segment_is_not_believed() -> None:
    small = file_of(picture(), "JPEG")
    frame = small[small.index(b"\xff\xc0") :][:19]
    big = file_of(picture(200, 200), "JPEG")
    hidden = big[:2] + b"\xff\xfe" + (2 + len(frame)).to_bytes(2, "big") + frame + big[2:]
    assert jpeg.pixels_of_size(hidden, SIZE) is None
    assert jpeg.pixels_of_size(hidden, (200, 200)) is not None


def test_what_may_have_many_passes_goes_the_long_way() -> None:
    assert (
        jpeg.pixels_of_size(file_of(picture(), "JPEG", comment=b"\xff\xda" * 40), SIZE) is not None
    )
    assert jpeg.pixels_of_size(file_of(picture(), "JPEG", comment=b"\xff\xda" * 60), SIZE) is None


def test_damage_never_gives_pixels_that_the_long_way_would_not_give() -> None:
    rng = np.random.default_rng(3)
    whole = np.frombuffer(file_of(picture(), "JPEG", quality=85), np.uint8)
    taken = 0
    for _ in range(600):
        hurt = whole.copy()
        places = rng.integers(0, len(hurt), rng.integers(1, 5))
        hurt[places] = rng.integers(0, 256, len(places))
        data = hurt.tobytes()
        found = jpeg.pixels_of_size(data, SIZE)
        if found is not None:
            taken += 1
            assert np.array_equal(found, long_way(data))
    assert taken > 50


def test_pixels_of_another_size_are_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of(picture(), "JPEG")
    for shape in ((32, 31, 3), (32, 32, 1)):
        found = np.zeros(shape, np.uint8)
        monkeypatch.setattr("simplejpeg.decode_jpeg", lambda *_, found=found, **__: found)
        assert jpeg.pixels_of_size(data, SIZE) is None


def test_ordinary_progressive_files_have_few_passes() -> None:
    assert not jpeg.has_too_many_scans(file_of(picture(256, 256), "JPEG", progressive=True))
    assert jpeg.has_too_many_scans(b"\xff\xda" * 51)

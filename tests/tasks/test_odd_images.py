"""Awkward files as they are found in the wild; skipped where that collection is not at hand."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from service.errors import InvalidInput, PayloadTooLarge, ServiceError, UnsupportedMedia
from service.tasks.images import ImageReader
from tests.tasks.samples import image_input

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("SLIPWAY_DATA", ROOT.parent / "shared" / "data")) / "odd_images"
FILES = sorted(FOLDER.glob("*/*"))
MAX_SECONDS = 10.0  # of processor time; the slowest take a twentieth of it

REFUSALS: dict[str, type[ServiceError]] = {
    "65536-uint32-limit.png": PayloadTooLarge,
    "apng_syntax_num_frames_zero.png": InvalidInput,
    "bmp_b_reallybig.bmp": PayloadTooLarge,
    "broken.png": InvalidInput,
    "broken_data_stream.png": InvalidInput,
    "check.svg": UnsupportedMedia,
    "crash-0da013a13571cc8eb457a39fee8db18f8a3c7127.tif": UnsupportedMedia,
    "crash-2020-10-test.tif": UnsupportedMedia,
    "decompression_bomb.gif": PayloadTooLarge,
    "giant-image.jpg": PayloadTooLarge,
    "hopper.ico": UnsupportedMedia,
    "hopper_webp.tif": UnsupportedMedia,
    "la.tga": UnsupportedMedia,
    "timeout-6646305047838720": UnsupportedMedia,
    "truncated.jpg": InvalidInput,
    "truncated.png": InvalidInput,
    "truncated_image.png": InvalidInput,
}

if not FILES:
    pytest.skip(f"no images in {FOLDER}; set SLIPWAY_DATA", allow_module_level=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_file_gives_a_picture_or_says_what_to_do(file: Path) -> None:
    data = file.read_bytes()
    reader = ImageReader(image_input())
    started_s = time.process_time()
    refusal = REFUSALS.get(file.name)
    if refusal is None:
        tensor = reader.read(data)
        assert tensor.shape == (3, 32, 32)
        assert np.isfinite(tensor).all()
    else:
        with pytest.raises(refusal) as caught:
            reader.read(data)
        assert type(caught.value) is refusal
        assert "Send" in caught.value.detail
    assert time.process_time() - started_s < MAX_SECONDS


def test_every_ordinary_photo_is_read() -> None:
    photos = [file for file in FILES if file.parent.name == "photos"]
    assert photos
    assert not {file.name for file in photos} & REFUSALS.keys()


def test_orientations_of_one_picture_look_alike() -> None:
    reader = ImageReader(image_input())
    upright = reader.pixels((FOLDER / "photos" / "hopper.jpg").read_bytes()).astype(int)
    turned = [file for file in FILES if file.name.startswith("hopper_orientation_")]
    assert len(turned) >= 4
    for file in turned:
        found = reader.pixels(file.read_bytes()).astype(int)
        assert np.abs(found - upright).mean() < 3, file.name


READ_ALL = """
import resource, sys
from pathlib import Path
from service.errors import ServiceError
from service.tasks.images import ImageReader
from tests.tasks.samples import image_input
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
reader = ImageReader(image_input())
for file in sorted(Path(sys.argv[1]).glob("*/*")):
    try:
        reader.read(file.read_bytes())
    except ServiceError:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_all_of_them_together_take_little_memory_and_warn_of_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", READ_ALL, str(FOLDER)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)),
    )
    assert done.stderr == ""
    assert int(done.stdout) < 100_000  # KiB

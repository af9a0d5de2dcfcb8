"""Small pictures with something in them: noise alone would make JPEG decoding too slow."""

import io

import numpy as np
from PIL import Image


def small_jpegs(count: int, seed: int = 0, side: int = 32) -> list[bytes]:
    """Different square JPEGs, at 32 pixels a kilobyte or so; the same for the same seed."""
    random = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        coarse = random.integers(0, 256, (6, 6, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        grain = random.normal(0, 8, (side, side, 3))
        pixels = np.clip(np.asarray(smooth) + grain, 0, 255).astype(np.uint8)
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "JPEG", quality=90)
        pictures.append(data.getvalue())
    return pictures

"""Random views of training images: shifted, mirrored, with a square cut out.

N images, H x W pixels, C = 3. Everything is drawn from the generator handed in.
"""

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]


def shift(images_NHWC: Images, most: int, generator: np.random.Generator) -> Images:
    """Move every image by up to `most` pixels either way; the border is mirrored in."""
    if most == 0:
        return images_NHWC
    count, height, width, _ = images_NHWC.shape
    padded = np.pad(images_NHWC, ((0, 0), (most, most), (most, most), (0, 0)), mode="reflect")
    views = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    top, left = generator.integers(0, 2 * most + 1, (2, count))
    return np.moveaxis(views[np.arange(count), top, left], 1, -1)


def mirror(images_NHWC: Images, flags_N: NDArray[np.bool_]) -> Images:
    """Flip the flagged images left to right."""
    flipped = images_NHWC.copy()
    flipped[flags_N] = flipped[flags_N, :, ::-1]
    return flipped


def cut_out(images_NHWC: Images, side: int, generator: np.random.Generator) -> Images:
    """Blank one square of `side` pixels an image (DeVries and Taylor 2017, arXiv:1708.04552)."""
    if side == 0:
        return images_NHWC
    count, height, width, _ = images_NHWC.shape
    top = generator.integers(0, height - side + 1, count)[:, None]
    left = generator.integers(0, width - side + 1, count)[:, None]
    rows, columns = np.arange(height)[None], np.arange(width)[None]
    in_rows = (rows >= top) & (rows < top + side)
    in_columns = (columns >= left) & (columns < left + side)
    hole_NHW = in_rows[:, :, None] & in_columns[:, None, :]
    grey = images_NHWC.mean(axis=(1, 2), keepdims=True).astype(np.uint8)
    return np.where(hole_NHW[..., None], grey, images_NHWC)

"""Rows of token ids of any length as one tensor."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def pad(rows: Sequence[NDArray[np.int64]], pad_id: int) -> Tensor:
    """Ids int64 [N, T], each row padded at its end to the longest."""
    padded = np.full((len(rows), max(map(len, rows))), pad_id, np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return torch.from_numpy(padded)

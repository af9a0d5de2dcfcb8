"""Items to tensors: checked, then stacked, padded or packed.

N items, T tokens, C channels, H by W pixels.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from service.errors import InvalidInput
from service.runtime.session import Tensor

# Packed encoding costs the square of its tokens: beyond this many, a group gains nothing.
GROUP_ROWS = 8
GROUP_TOKENS = 128


def check_ids(ids: Tensor, limit: int, vocabulary: int | None = None) -> None:
    """Raise InvalidInput unless `ids` is 1 to `limit` integers that the vocabulary holds."""
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        raise InvalidInput(f"token ids must be one row of integers, not {ids.dtype}{ids.shape}")
    if not 1 <= len(ids) <= limit:
        raise InvalidInput(f"{len(ids)} tokens; the model takes 1 to {limit}")
    # a negative index would silently count from the end of the embedding
    if ids.min() < 0 or (vocabulary is not None and ids.max() >= vocabulary):
        raise InvalidInput(f"a token id is outside the vocabulary of {vocabulary or 'the model'}")


def stack_images(images_CHW: Sequence[Tensor]) -> Tensor:
    """Images of one shape to one float32 batch [N, C, H, W]."""
    return np.stack(images_CHW).astype(np.float32, copy=False)


def pad_ids(ids: Sequence[Tensor], pad_id: int) -> tuple[Tensor, Tensor]:
    """Token ids of any lengths to input_ids and attention_mask, both int64 [N, T]."""
    longest = max(len(row) for row in ids)
    ids_NT = np.full((len(ids), longest), pad_id, np.int64)
    mask_NT = np.zeros((len(ids), longest), np.int64)
    for n, row in enumerate(ids):
        ids_NT[n, : len(row)] = row
        mask_NT[n, : len(row)] = 1
    return ids_NT, mask_NT


def pack_ids(ids: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids in one axis, without padding: ids, position in its row, number of its row."""
    lengths = [len(row) for row in ids]
    positions = np.concatenate([np.arange(length, dtype=np.int64) for length in lengths])
    segments = np.repeat(np.arange(len(ids), dtype=np.int64), lengths)
    return np.concatenate(ids).astype(np.int64, copy=False), positions, segments


def group_rows(lengths: Sequence[int]) -> Iterator[slice]:
    """Consecutive rows that are best packed together: few rows, and few tokens in all."""
    start, tokens = 0, 0
    for row, length in enumerate(lengths):
        full = row - start == GROUP_ROWS or tokens + length > GROUP_TOKENS
        if full and row > start:
            yield slice(start, row)
            start, tokens = row, 0
        tokens += length
    if start < len(lengths):
        yield slice(start, len(lengths))

"""Items to tensors: checked, then stacked, padded or packed.

N items, T tokens, C channels, H by W pixels.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from service.errors import InvalidInput
from service.runtime.session import Tensor

# Packed encoding costs the square of its tokens: beyond this many, a group gains nothing.
GROUP_ROWS = 8
GROUP_TOKENS = 128
# What one more run of a recurrent network costs beside its cells: for the call, in cells, and for
# each step, in rows. Measured on an LSTM of 128 to 192 units; it moves little between networks.
RUN_CELLS = 20
STEP_ROWS = 0.5
_NUMBERS = np.arange(1024, dtype=np.int64)
_NUMBERS.flags.writeable = False


class HasIds(Protocol):
    """A text's features, as far as this room looks at them: token ids, 1-D."""

    @property
    def ids(self) -> Tensor: ...


def check_ids(ids: Tensor, limit: int, vocabulary: int | None = None) -> None:
    """Raise InvalidInput unless `ids` is 1 to `limit` integers that the vocabulary holds."""
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise InvalidInput(f"token ids must be one row of integers, not {ids.dtype}{ids.shape}")
    if not 1 <= len(ids) <= limit:
        raise InvalidInput(f"{len(ids)} tokens; the model takes 1 to {limit}")
    # a negative index would silently count from the end of the embedding
    if ids.min() < 0 or (vocabulary is not None and ids.max() >= vocabulary):
        raise InvalidInput(f"a token id is outside the vocabulary of {vocabulary or 'the model'}")


def stack_images(images_CHW: Sequence[Tensor]) -> Tensor:
    """Images of one shape to one float32 batch [N, C, H, W]."""
    if len(images_CHW) == 1:
        return images_CHW[0][None].astype(np.float32, copy=False)
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


def group_lengths(lengths: Sequence[int]) -> list[list[int]]:
    """Rows, by place, that are best padded together: shortest first, and few cells in vain.

    A row starts a group of its own when to pad those before it to its length would cost more than
    one more run.
    """
    groups: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        length = lengths[place]
        if groups:
            padding = len(groups[-1]) * (length - lengths[groups[-1][-1]])
            if padding <= RUN_CELLS + STEP_ROWS * length:
                groups[-1].append(place)
                continue
        groups.append([place])
    return groups


def padding_of(lengths: Sequence[int]) -> int:
    """The cells in vain when rows of these lengths run in their groups."""
    groups = group_lengths(lengths)
    return sum(lengths[group[-1]] * len(group) for group in groups) - sum(lengths)


def pack_ids(ids: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids in one axis, without padding: ids, position in its row, number of its row."""
    lengths = [len(row) for row in ids]
    numbers = _numbers(max(*lengths, len(ids)))
    positions = np.concatenate([numbers[:length] for length in lengths])
    segments = np.repeat(numbers[: len(ids)], lengths)
    return np.concatenate(ids).astype(np.int64, copy=False), positions, segments


def _numbers(most: int) -> Tensor:
    # kept, since numpy lets go of the interpreter to count, and waits to have it back
    return _NUMBERS if most <= len(_NUMBERS) else np.arange(most, dtype=np.int64)


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

"""Items to tensors, by hand-made examples."""

import numpy as np
import pytest

from service.errors import InvalidInput
from service.runtime.collate import (
    GROUP_ROWS,
    GROUP_TOKENS,
    check_ids,
    group_lengths,
    group_rows,
    pack_ids,
    pad_ids,
    padding_of,
    stack_images,
)
from tests.runtime.graphs import Array
from tests.runtime.tiny_models import images


def test_images_are_stacked_in_order() -> None:
    three = images(3)
    x_NCHW = stack_images(three)
    assert x_NCHW.dtype == np.float32
    np.testing.assert_array_equal(x_NCHW[2], three[2])


def test_shorter_texts_are_padded_and_masked() -> None:
    ids, mask = pad_ids([np.array([5, 6, 7]), np.array([8])], pad_id=9)
    np.testing.assert_array_equal(ids, [[5, 6, 7], [8, 9, 9]])
    np.testing.assert_array_equal(mask, [[1, 1, 1], [1, 0, 0]])
    assert {ids.dtype, mask.dtype} == {np.dtype(np.int64)}


def test_packed_sentences_stand_in_one_axis_with_position_and_segment() -> None:
    ids, positions, segments = pack_ids([np.array([5, 6, 7]), np.array([8]), np.array([4, 3])])
    np.testing.assert_array_equal(ids, [5, 6, 7, 8, 4, 3])
    np.testing.assert_array_equal(positions, [0, 1, 2, 0, 0, 1])
    np.testing.assert_array_equal(segments, [0, 0, 0, 1, 2, 2])


@pytest.mark.parametrize("lengths", [(3000, 2), (1,) * 2000])
def test_packed_sentences_may_be_long_and_many(lengths: tuple[int, ...]) -> None:
    ids, positions, segments = pack_ids([np.full(length, 7) for length in lengths])
    assert len(ids) == len(positions) == len(segments) == sum(lengths)
    assert positions.max() == max(lengths) - 1
    assert segments[-1] == len(lengths) - 1


@pytest.mark.parametrize(
    ("lengths", "groups"),
    [
        ([], []),
        ([3], [(0, 1)]),
        ([3] * GROUP_ROWS, [(0, GROUP_ROWS)]),
        ([3] * (GROUP_ROWS + 1), [(0, GROUP_ROWS), (GROUP_ROWS, GROUP_ROWS + 1)]),
        ([GROUP_TOKENS * 2, 3], [(0, 1), (1, 2)]),
        ([3, GROUP_TOKENS * 2, 3], [(0, 1), (1, 2), (2, 3)]),
        ([GROUP_TOKENS // 2] * 3, [(0, 2), (2, 3)]),
    ],
)
def test_groups_have_few_rows_and_few_tokens_and_leave_nobody_out(
    lengths: list[int], groups: list[tuple[int, int]]
) -> None:
    assert [(group.start, group.stop) for group in group_rows(lengths)] == groups


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.array([], np.int64), "0 tokens; the model takes 1 to 4"),
        (np.array([1, 2, 3, 4, 5]), "5 tokens"),
        (np.array([1, -1]), "outside the vocabulary"),
        (np.array([1, 10]), "outside the vocabulary of 10"),
        (np.array([1.0]), "one row of integers, not float64"),
        (np.array([[1]]), "one row of integers"),
    ],
)
def test_ids_that_would_spoil_a_batch_are_refused(ids: Array, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check_ids(ids, limit=4, vocabulary=10)


def test_ids_within_limits_pass() -> None:
    check_ids(np.array([0, 9, 3, 4]), limit=4, vocabulary=10)
    check_ids(np.array([1 << 40]), limit=4)


@pytest.mark.parametrize(
    ("lengths", "groups"),
    [
        ([], []),
        ([7], [[0]]),
        ([9, 9, 9], [[0, 1, 2]]),
        ([200, 10, 12, 210], [[1, 2], [0, 3]]),
        ([10, 34], [[0, 1]]),  # 24 cells in vain, against 20 and 17 for one more run
        ([10, 10, 34], [[0, 1], [2]]),  # 48 of them
        ([100, 300], [[0], [1]]),
    ],
)
def test_texts_of_like_length_are_padded_together(
    lengths: list[int], groups: list[list[int]]
) -> None:
    assert group_lengths(lengths) == groups


def test_the_cells_in_vain_are_those_of_the_groups() -> None:
    assert padding_of([10, 34, 300]) == 24
    assert padding_of([5, 5]) == 0

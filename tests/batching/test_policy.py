"""The rules of batching, one row of a table each."""

from collections.abc import Sequence

import pytest

from service.batching.policy import BatchPolicy

POLICY = BatchPolicy(max_batch_size=4, max_queue_size=10, max_queue_delay_s=0.02)
GROUPING = BatchPolicy(max_batch_size=3, max_queue_size=100, look_ahead=8)


@pytest.mark.parametrize(
    ("waiting", "oldest_age_s", "expected_s"),
    [
        (1, 0.0, 0.02),
        (1, 0.015, 0.005),
        (1, 0.02, 0.0),
        (1, 5.0, 0.0),
        (3, 0.0, 0.02),
        (4, 0.0, 0.0),
        (9, 0.0, 0.0),
    ],
)
def test_a_partial_batch_waits_out_the_delay_and_a_full_one_does_not(
    waiting: int, oldest_age_s: float, expected_s: float
) -> None:
    seconds = POLICY.seconds_to_wait(waiting=waiting, oldest_age_s=oldest_age_s)
    assert seconds == pytest.approx(expected_s)


def test_nothing_waits_when_no_delay_is_set() -> None:
    policy = BatchPolicy(max_batch_size=4, max_queue_size=10)
    assert policy.seconds_to_wait(waiting=1, oldest_age_s=0.0) == 0.0


@pytest.mark.parametrize(
    ("waiting", "arriving", "admitted"),
    [
        (0, 1, True),
        (0, 10, True),
        (9, 1, True),
        (10, 1, False),
        (8, 2, True),
        (8, 3, False),
        (0, 11, True),  # larger than the queue: it would never fit otherwise
        (1, 11, False),
    ],
)
def test_a_request_is_admitted_whole_or_not_at_all(
    waiting: int, arriving: int, admitted: bool
) -> None:
    assert POLICY.admits(waiting=waiting, arriving=arriving) is admitted


@pytest.mark.parametrize(
    ("costs", "chosen"),
    [
        ([], []),
        ([7], [0]),
        ([1, 100, 2], [0, 1, 2]),  # all fit: no reason to leave anyone
        ([10, 90, 11, 80, 9], [0, 2, 4]),
        ([10, 12, 8, 12, 8], [0, 1, 2]),  # equally near: the older ones
        ([50, 1, 1, 1, 60], [0, 1, 4]),
        ([5, 5, 5, 5, 5], [0, 1, 2]),
    ],
)
def test_the_oldest_item_goes_with_those_of_nearest_cost(
    costs: Sequence[int], chosen: Sequence[int]
) -> None:
    assert list(GROUPING.choose(costs).places) == chosen


def test_no_item_waits_for_more_batches_than_stand_before_it() -> None:
    # The odd one out at place 5, with ever more of the usual cost arriving behind it.
    waiting = [10] * 5 + [1000] + [10] * 200
    batches = 0
    while 1000 in waiting:
        taken = set(GROUPING.choose(waiting[: GROUPING.window]).places)
        waiting = [cost for place, cost in enumerate(waiting) if place not in taken]
        batches += 1
    assert batches <= 6


def test_the_window_is_never_smaller_than_a_batch() -> None:
    assert POLICY.window == 4
    assert GROUPING.window == 8


@pytest.mark.parametrize(
    "rules",
    [
        {"max_batch_size": 0, "max_queue_size": 1},
        {"max_batch_size": 1, "max_queue_size": 0},
        {"max_batch_size": 1, "max_queue_size": 1, "max_queue_delay_s": -0.1},
        {"max_batch_size": 1, "max_queue_size": 1, "max_queue_delay_s": float("nan")},
        {"max_batch_size": 1, "max_queue_size": 1, "look_ahead": -1},
    ],
)
def test_rules_that_make_no_sense_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"at least one|negative"):
        BatchPolicy(**rules)  # type: ignore[arg-type]

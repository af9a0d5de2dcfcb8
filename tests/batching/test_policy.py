"""The rules of batching, one row of a table each."""

import random
from collections.abc import Sequence

import pytest

from service.batching.company import useful, useful_alike
from service.batching.cost import Parts
from service.batching.policy import PASSES, BatchPolicy, Choice
from service.metrics import ReleaseReason
from tests.batching.known import Known

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
        (4, 6, True),  # counts as 5, which is half
        (5, 6, True),
        (6, 6, False),
        (5, 11, True),  # larger than the queue: it would never fit otherwise
        (6, 11, False),
    ],
)
def test_a_request_is_admitted_whole_or_not_at_all(
    waiting: int, arriving: int, admitted: bool
) -> None:
    assert POLICY.admits(waiting=waiting, arriving=arriving) is admitted


@pytest.mark.parametrize(("places", "counted"), [(1, 1), (2, 1), (3, 1), (10, 5), (256, 128)])
def test_a_request_counts_as_half_of_the_queue_at_most(places: int, counted: int) -> None:
    policy = BatchPolicy(max_batch_size=4, max_queue_size=places)
    assert policy.counted(1) == 1
    assert policy.counted(1000) == counted
    assert policy.admits(waiting=0, arriving=1000)
    assert policy.most_parts == 4 * places


@pytest.mark.parametrize(
    ("spare_s", "run_s", "slack_s"),
    [(1.0, 0.25, 0.495), (1.0, 0.0, 0.995), (0.5, 0.25, 0.0), (-1.0, 0.0, 0.0)],
)
def test_a_batch_leaves_early_enough_to_take_twice_as_long(
    spare_s: float, run_s: float, slack_s: float
) -> None:
    assert POLICY.slack_s(spare_s=spare_s, run_s=run_s) == pytest.approx(slack_s)


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
        {"max_batch_size": 1, "max_queue_size": 1, "bulk_every": 0},
        {"max_batch_size": 1, "max_queue_size": 1, "max_queue_s": 0.0},
        {"max_batch_size": 1, "max_queue_size": 1, "max_queue_s": float("nan")},
        {"max_batch_size": 1, "max_queue_size": 1, "short_run_s": -0.1},
        {"max_batch_size": 1, "max_queue_size": 1, "short_run_s": float("nan")},
    ],
)
def test_rules_that_make_no_sense_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"at least one|negative"):
        BatchPolicy(**rules)  # type: ignore[arg-type]


SECONDS = Known(Parts(fixed_s=1.0, cell_s=0.125)).seconds  # 1 s, and 1 s more per 8 tokens


def choose(
    costs: Sequence[int], *, spare_s: float = 1e6, partial: ReleaseReason = "idle"
) -> Choice:
    """With the oldest, whose turn it is."""
    policy = BatchPolicy(max_batch_size=4, max_queue_size=100, look_ahead=8)
    return policy.choose(costs, run_s=SECONDS, spare_s=spare_s, partial=partial, passed_over=PASSES)


@pytest.mark.parametrize(
    ("costs", "chosen"),
    [
        ([8], [0]),
        ([8, 8, 8], [0, 1, 2]),
        ([8, 8, 8, 8, 8], [0, 1, 2, 3]),
        ([8, 9, 7], [0, 1, 2]),
        # One that is far longer costs the others more than a batch of its own ...
        ([8, 8, 8, 400], [0, 1, 2]),
        # ... and in a long batch a short one would be padded for longer than it runs alone.
        ([400, 8, 8, 8], [0]),
        ([400, 8, 399, 8], [0, 2]),
        # Where it would have to run by itself otherwise, a little padding is cheaper.
        ([16, 12], [0, 1]),
        ([16, 8], [0, 1]),
        # With company of its own kind it is not.
        ([16, 8, 8, 8], [0]),
        # Who made the batch longer already is not paid for twice.
        ([8, 11, 13], [0, 1, 2]),
    ],
)
def test_nobody_joins_a_batch_that_costs_more_than_one_of_its_own_kind(
    costs: Sequence[int], chosen: Sequence[int]
) -> None:
    assert list(choose(costs).places) == chosen


def test_where_nobody_is_padded_the_oldest_go_whatever_they_cost() -> None:
    policy = BatchPolicy(max_batch_size=3, max_queue_size=9, is_padded=False)
    found = policy.choose([10, 90, 11, 80], run_s=lambda size, cost: size * cost, spare_s=1.0)
    assert (list(found.places), found.reason) == ([0, 1, 2], "full")
    found = policy.choose([10, 90, 11, 80], 2, run_s=lambda size, cost: size * cost, share=1)
    assert list(found.places) == [0]


def test_while_nothing_is_known_about_time_every_place_is_filled() -> None:
    policy = BatchPolicy(max_batch_size=4, max_queue_size=100)
    choice = policy.choose([8, 400, 8, 390], run_s=Known(Parts()).seconds)
    assert list(choice.places) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("spare_s", "chosen", "reason"),
    [
        (5.0, [0, 1, 2, 3], "full"),  # 1 s and 1 s for each of four
        (4.9, [0, 1, 2], "deadline"),
        (3.0, [0, 1], "deadline"),
        (2.0, [0], "deadline"),
        (1.9, [0, 1, 2, 3], "full"),  # it is late anyway, and the others need not be
    ],
)
def test_a_batch_is_as_small_as_the_oldest_needs_to_be_in_time(
    spare_s: float, chosen: Sequence[int], reason: str
) -> None:
    choice = choose([8] * 6, spare_s=spare_s)
    assert (list(choice.places), choice.reason) == (chosen, reason)


@pytest.mark.parametrize(
    ("short_run_s", "spare_s", "chosen", "reason"),
    [
        (4.25, 1e6, [0, 1, 2, 3], "full"),  # a quarter of a millisecond is all that each one gains
        (4.0, 1e6, [0, 1, 2], "full"),
        (2.25, 1e6, [0, 1], "full"),
        (0.0, 1e6, [0], "full"),  # somebody has to go
        (3.25, 2.25, [0, 1], "deadline"),
        (2.25, 3.25, [0, 1], "full"),
        (2.25, 2.25, [0, 1], "full"),
        (2.25, 0.9, [0, 1], "full"),  # late anyway, but the next need not wait longer for it
    ],
)
def test_who_gains_nothing_by_company_waits_for_none_of_it(
    short_run_s: float, spare_s: float, chosen: Sequence[int], reason: str
) -> None:
    policy = BatchPolicy(max_batch_size=4, max_queue_size=100, short_run_s=short_run_s)
    model = Known(Parts(fixed_s=0.001, row_s=1.0))
    choice = policy.choose([8] * 6, run_s=model.seconds, spare_s=spare_s)
    assert (list(choice.places), choice.reason) == (chosen, reason)


def test_company_that_makes_an_item_cheaper_is_waited_for() -> None:
    policy = BatchPolicy(max_batch_size=4, max_queue_size=100, short_run_s=0.0)
    assert list(policy.choose([8] * 6, run_s=SECONDS).places) == [0, 1, 2, 3]


@pytest.mark.parametrize(("company", "together"), [(1, 1), (2, 2), (3, 2), (9, 2)])
def test_an_item_stays_for_the_batch_that_it_gains_by(company: int, together: int) -> None:
    run_s = Known(Parts(fixed_s=0.001, cell_s=0.125)).seconds  # a second for each item of 8
    rules = {"max_batch_size": 4, "max_queue_size": 9, "short_run_s": 2.5}
    assert BatchPolicy(**rules).stay_s(company, 8, run_s) == 0.001 + together  # type: ignore[arg-type]
    one_by_one = BatchPolicy(**rules, is_padded=False)  # type: ignore[arg-type]
    assert one_by_one.stay_s(company, 8, run_s) == 0.001 + company


def test_an_item_stays_for_no_more_company_than_a_batch_has() -> None:
    run_s = Known(Parts(fixed_s=10.0, row_s=1.0)).seconds
    assert (
        BatchPolicy(max_batch_size=4, max_queue_size=9, short_run_s=1.0).stay_s(9, 8, run_s) == 14.0
    )


@pytest.mark.parametrize(
    ("costs", "short_s", "count"),
    [
        ([1, 5], 10.0, 2),
        ([1, 5], 9.9, 1),  # both count as the longer one
        ([5, 1], 0.0, 1),  # who is shorter does not make it shorter
        ([5, 1], 10.0, 2),
        ([2, 2, 2], 4.0, 2),
        ([2, 2, 2], 0.0, 1),
    ],
)
def test_a_batch_that_is_not_short_takes_whom_it_makes_cheaper(
    costs: Sequence[int], short_s: float, count: int
) -> None:
    assert useful(costs, Known(Parts(cell_s=1.0)).seconds, short_s) == count


@pytest.mark.parametrize(("fixed_s", "count"), [(0.1, 4), (0.09, 3), (0.05, 2), (0.02, 1)])
def test_who_makes_an_item_cheaper_by_a_fiftieth_is_waited_for(fixed_s: float, count: int) -> None:
    # Alone it takes that time and a second, in a batch of eight an eighth of that and a second.
    run_s = Known(Parts(fixed_s=fixed_s, row_s=1.0)).seconds
    assert useful([1] * 8, run_s, 0.0) == count


def test_of_items_alike_it_is_known_at_once() -> None:
    chance = random.Random(3)
    for _ in range(2000):
        parts = Parts(fixed_s=chance.choice([0.0, chance.random()]), row_s=0.01 + chance.random())
        count, short_s = chance.randint(1, 40), chance.choice([0.0, 30.0 * chance.random()])
        run_s = Known(parts).seconds
        found = useful_alike(count, 7, run_s, short_s)
        one_by_one = useful([7] * count, run_s, short_s)
        assert 1 <= found <= count
        assert abs(found - one_by_one) <= 1, "but for how numbers are rounded"


def test_who_takes_no_time_of_its_own_has_all_for_company() -> None:
    run_s = Known(Parts(fixed_s=1.0)).seconds
    assert useful_alike(8, 7, run_s, 0.5) == 8


def test_a_deadline_counts_the_padding_of_those_who_would_come_along() -> None:
    # Two of 8 run 3 s; with one of 9 they are three of 9.
    assert list(choose([8, 9, 8], spare_s=4.37).places) == [0, 2]
    assert list(choose([8, 9, 8], spare_s=4.375).places) == [0, 1, 2]


@pytest.mark.parametrize(
    ("costs", "partial", "reason"),
    [
        ([], "idle", "idle"),
        ([8], "idle", "idle"),
        ([8], "age", "age"),
        ([8, 8, 8], "deadline", "deadline"),
        ([8, 8, 8], "age", "age"),
        ([8] * 4, "idle", "full"),
        ([8] * 9, "age", "full"),
        ([400, 8, 8], "age", "full"),  # of its kind there are no more
    ],
)
def test_a_batch_says_why_it_is_not_larger(
    costs: Sequence[int], partial: ReleaseReason, reason: str
) -> None:
    assert choose(costs, partial=partial).reason == reason


def test_where_one_makes_a_batch_every_batch_is_full() -> None:
    policy = BatchPolicy(max_batch_size=1, max_queue_size=9)
    assert policy.choose([8]) == Choice((0,), "full")
    assert policy.choose([8, 8]) == Choice([0], "full")


def test_a_run_with_little_room_takes_no_more_than_fit() -> None:
    assert list(POLICY.choose([5] * 9, 2).places) == [0, 1]
    assert POLICY.choose([5] * 9, 2).reason == "full"
    assert POLICY.choose([5], 2) == Choice((0,), "idle")
    assert POLICY.choose([5], 1) == Choice((0,), "full")
    assert list(POLICY.choose([5] * 9, 50).places) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("free", "since_join_s", "may"),
    [
        (4, 0.0, True),
        (3, 0.0, False),
        (3, 0.0099, False),
        (3, 0.01, True),
        (1, 9.0, True),
        (0, 9.0, False),
    ],
)
def test_newcomers_join_together_unless_nobody_joined_for_a_while(
    free: int, since_join_s: float, may: bool
) -> None:
    policy = BatchPolicy(max_batch_size=8, max_queue_size=8)
    assert policy.may_join(free=free, since_join_s=since_join_s) is may


def test_a_share_leaves_the_rest_to_other_workers() -> None:
    assert POLICY.choose([1, 1, 1], share=2) == Choice([0, 1], "idle")
    assert POLICY.choose([1, 1, 1], share=9) == Choice([0, 1, 2], "idle")
    assert POLICY.choose([1] * 6, share=5).reason == "full"


def test_company_is_worth_as_much_as_a_batch_of_that_size_would_be() -> None:
    policy = BatchPolicy(max_batch_size=8, max_queue_size=100, look_ahead=32)
    model = Known(Parts(step_s=1.0, cell_s=1.0))  # n items of length L: L * (1 + n)

    def chosen(costs: Sequence[int]) -> Sequence[int]:
        return policy.choose(costs, run_s=model.seconds).places

    # To join costs 3*13 - 2*10 = 19 s; a batch of its own, of two like it, 13*3/2 = 19.5 s each.
    assert chosen([10, 13, 13, 13, 13, 40]) == [0, 1, 2, 3, 4]
    # The sixth would pay 7*40 - 6*13 = 202 s, alone 40*2 = 80 s.
    assert chosen([10, 40]) == [0]
    assert chosen([10, 10, 10]) == [0, 1, 2]

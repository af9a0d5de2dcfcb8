"""Who takes next to nothing goes before a long batch, and is foreseen to; who is passed over so
often enough has its turn."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.cost import Parts
from service.batching.line import Line
from service.batching.pace import BatchPace
from service.batching.policy import PASSES, BatchPolicy, Choice
from service.errors import Overloaded
from tests.batching.doubles import Clock, GatedRunner, turn
from tests.batching.known import FAR, Known, busy, item, submitted

MakeBatcher = Callable[..., Batcher[int, Any]]

POLICY = BatchPolicy(max_batch_size=4, max_queue_size=100, look_ahead=64)
A_SECOND_A_UNIT = Known(Parts(cell_s=1.0))


def chosen(
    costs: Sequence[int], *, spare_s: float = FAR, passed_over: int = 0, parts: Parts | None = None
) -> list[int]:
    model = Known(parts) if parts else A_SECOND_A_UNIT
    choice = POLICY.choose(costs, run_s=model.seconds, spare_s=spare_s, passed_over=passed_over)
    return list(choice.places)


@pytest.mark.parametrize(
    ("costs", "first"),
    [
        ([100, 1], [1]),
        ([100, 10], [1]),
        ([100, 11], [0]),  # more than a tenth of it
        ([100, 3, 3, 3], [1, 2, 3]),
        ([100, 4, 4, 4], [1, 2]),  # as many as take a tenth of it together
        ([100, 90, 1, 95], [2]),  # beside company of its own kind, too
        ([100, 12, 1, 1, 12], [2, 3]),
        ([1, 100], [0]),
        ([1, 100, 1], [0, 2]),
        ([5, 5, 5], [0, 1, 2]),
    ],
)
def test_who_takes_a_tenth_of_the_oldest_goes_before_it(
    costs: Sequence[int], first: Sequence[int]
) -> None:
    assert chosen(costs) == first


def test_what_is_long_is_the_whole_batch() -> None:
    # Two of 110 take 330 s, a tenth of which is enough for one of 16, which takes 32.
    parts = Parts(step_s=1.0, cell_s=1.0)
    assert chosen([100, 110, 16], parts=parts) == [2]
    assert chosen([100, 110, 17], parts=parts) == [0, 1]


def test_who_goes_before_a_batch_is_bound_by_its_own_rules() -> None:
    run_s, costs = A_SECOND_A_UNIT.seconds, [100, 100, 100, 100, 1]
    assert POLICY.choose(costs, run_s=run_s, spare_s=350.0) == Choice([4], "full")
    assert POLICY.choose(costs, run_s=run_s, spare_s=350.0, passed_over=PASSES) == Choice(
        [0, 1, 2], "deadline"
    )


def test_nobody_goes_before_a_batch_that_is_soon_over() -> None:
    assert chosen([100, 1], parts=Parts(cell_s=0.00019)) == [0]
    assert chosen([100, 1], parts=Parts(cell_s=0.0002)) == [1]


def test_who_would_be_late_for_it_is_not_passed_over() -> None:
    assert chosen([100, 1], spare_s=110.0) == [1]
    assert chosen([100, 1], spare_s=109.0) == [0]


def test_where_items_join_and_leave_nobody_is_passed_over() -> None:
    policy = BatchPolicy(max_batch_size=1, max_queue_size=9, is_padded=False)
    assert list(policy.choose([100, 1], run_s=A_SECOND_A_UNIT.seconds).places) == [0]


pytestmark = pytest.mark.anyio


@pytest.fixture
def line(clock: Clock) -> Line[int]:
    return Line(POLICY, clock, BatchPace(A_SECOND_A_UNIT, 4))


async def test_the_oldest_is_passed_over_a_few_times_and_then_goes(line: Line[int]) -> None:
    line.enter([item(100, cost=50), item(200, cost=80)])
    taken = []
    for part in range(2 * PASSES + 2):
        line.enter([item(part, cost=1)])
        taken.append([found.part for found in line.take().items])
    assert PASSES == 4
    # The second one is passed over as often, since it was the oldest.
    assert taken == [[0], [1], [2], [3], [100], [4, 5], [6], [7], [8], [200]]


async def test_a_line_tells_how_much_time_its_oldest_has(line: Line[int], clock: Clock) -> None:
    items = [item(part, cost=100) for part in range(4)]
    items[0].claims[0].submission.deadline_s = clock() + 200.0
    for one in items:
        line.enter([one])
    assert [found.part for found in line.take().items] == [0, 1]


async def test_a_line_knows_whom_a_newcomer_passes(line: Line[int]) -> None:
    assert line.longest_s == 0.0
    few = [item(0, cost=3), item(1, cost=70, priority="bulk"), item(2, cost=50), item(3, cost=4)]
    for one in few:
        line.enter([one])
    assert line.longest_s == 70.0
    assert line.staying("interactive", 4.0) == (7.0, few[2])
    assert line.staying("interactive", 6.0) == (57.0, None)
    assert line.longest_s == 70.0
    line.leave(few[1:3])
    assert line.staying("interactive", 0.0) == (0.0, few[3])
    assert line.longest_s == 4.0


async def crowded(
    make_batcher: MakeBatcher, runner: GatedRunner, *costs: int, **how: Any
) -> tuple[Batcher[int, Any], list[asyncio.Task[Any]]]:
    """An item of a second runs, and these wait."""
    batcher = make_batcher(POLICY, latency=A_SECOND_A_UNIT, **how)
    tasks = await busy(batcher, runner)
    for part, cost in enumerate(costs, start=1):
        tasks.append(submitted(batcher, part, cost=cost))
    await turn()
    return batcher, tasks


async def test_a_small_item_waits_for_what_runs_and_not_for_what_is_long(
    make_batcher: MakeBatcher, runner: GatedRunner
) -> None:
    _, tasks = await crowded(make_batcher, runner, 100, 100, 1, 100, 1)
    runner.open()
    assert await asyncio.gather(*tasks) == [0, 10, 20, 30, 40, 50]
    assert runner.batches == [[0], [3, 5], [1, 2, 4]]


async def ended(batcher: Batcher[int, Any], runner: GatedRunner, *tasks: asyncio.Task[Any]) -> None:
    runner.open()
    await asyncio.gather(*tasks)
    await batcher.drain()


# One runs for a second. Then a batch of the long ones may have its turn (all that wait are
# expected to go together: four), and another batch of four quick ones.
@pytest.mark.parametrize(
    ("costs", "quick_s"),
    [
        ((100,) * 12, 1.0 + 400.0 + 4.0),
        # Between 2 s of quick ones the long ones have 5 s.
        ((100,) * 12 + (1, 1), 1.0 + 400.0 + 4.0 + 7.0),
        # It waits for nothing longer than all that there is.
        ((100,), 1.0 + 100.0 + 4.0),
        # Who takes as long as itself is before it.
        ((5, 5), 1.0 + 10.0 + 4.0),
    ],
)
@pytest.mark.parametrize("by_the_door", [True, False])
async def test_who_goes_before_others_is_foreseen_to(
    make_batcher: MakeBatcher,
    runner: GatedRunner,
    clock: Clock,
    costs: Sequence[int],
    quick_s: float,
    by_the_door: bool,
) -> None:
    async def ask(spare_s: float) -> None:
        if by_the_door:
            error = batcher.refusal("interactive", spare_s, lambda: 1)
            if error is not None:
                raise error
        tasks.append(submitted(batcher, 99, deadline=clock() + spare_s))
        await turn()
        if tasks[-1].done():
            await tasks.pop()

    batcher, tasks = await crowded(make_batcher, runner, *costs)
    with pytest.raises(Overloaded, match="is wanted within"):
        await ask(quick_s - 0.5)
    await ask(quick_s)
    assert batcher.depth == len(costs) + 1
    await ended(batcher, runner, *tasks)


async def test_who_goes_before_nobody_waits_for_all(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock
) -> None:
    batcher, tasks = await crowded(make_batcher, runner, 100, 100)
    with pytest.raises(Overloaded, match=r"is wanted within 2e\+02 s"):
        await batcher.submit(9, cost=11, deadline=clock() + 200.0)
    await ended(batcher, runner, *tasks)


async def test_bulk_that_goes_before_other_bulk_waits_for_all_who_are_interactive(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock
) -> None:
    batcher, tasks = await crowded(make_batcher, runner, 8, 8)
    for _ in range(9):
        tasks.append(submitted(batcher, 50, cost=100, priority="bulk"))
    await turn()
    # What runs, 16 s that count two and a half times more, four long ones, and its own batch.
    quick_s = 1.0 + 3.5 * 16.0 + 400.0 + 4.0
    with pytest.raises(Overloaded):
        await batcher.submit(9, deadline=clock() + quick_s - 0.5, priority="bulk")
    tasks.append(submitted(batcher, 9, deadline=clock() + quick_s, priority="bulk"))
    await turn()
    assert not tasks[-1].done()
    await ended(batcher, runner, *tasks)


async def test_who_goes_before_others_waits_no_longer_than_for_all(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock
) -> None:
    batcher, tasks = await crowded(make_batcher, runner, 30)
    with pytest.raises(Overloaded, match="about 35 s"):  # and not for four of them
        await batcher.submit(9, deadline=clock() + 34.0)
    await ended(batcher, runner, *tasks)


async def test_workers_share_what_stays_before_who_goes_before_others(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock
) -> None:
    batcher = make_batcher(POLICY, latency=A_SECOND_A_UNIT, workers=2)
    tasks = await busy(batcher, runner)
    tasks.append(submitted(batcher, 1))
    await runner.entered()
    tasks += [submitted(batcher, part, cost=100) for part in range(2, 12)]
    tasks += [submitted(batcher, part) for part in range(12, 16)]
    await turn()
    # A second of what runs for each, four quick ones at two and a half times more, a long batch.
    quick_s = 1.0 + 3.5 * 2.0 + 400.0 + 4.0
    with pytest.raises(Overloaded):
        await batcher.submit(99, deadline=clock() + quick_s - 0.5)
    tasks.append(submitted(batcher, 99, deadline=clock() + quick_s))
    await turn()
    assert not tasks[-1].done()
    await ended(batcher, runner, *tasks)


async def test_a_request_goes_before_others_only_if_all_of_it_does(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock
) -> None:
    batcher, tasks = await crowded(make_batcher, runner, *[100] * 12)
    with pytest.raises(Overloaded):
        await batcher.submit_many([97, 98], costs=[1, 50], deadline=clock() + 700.0)
    both = batcher.submit_many([97, 98], costs=[1, 1], deadline=clock() + 700.0)
    tasks.append(asyncio.ensure_future(both))
    await turn()
    assert not tasks[-1].done()
    await ended(batcher, runner, *tasks)

"""Where items join and leave, a sentence does not wait for all of a long text, and is foreseen not
to; the text is held up by less than half of its time."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.cost import Parts
from service.batching.line import Line
from service.batching.pace import BatchPace
from service.batching.policy import BatchPolicy, Priority
from service.batching.queueing import QueuedItem
from service.errors import Overloaded
from tests.batching.doubles import Clock, GatedRunner, turn
from tests.batching.known import FAR, Known, busy, item, submitted

MakeBatcher = Callable[..., Batcher[int, Any]]

pytestmark = pytest.mark.anyio

A_SECOND_A_UNIT = Known(Parts(cell_s=1.0))

ONE_BY_ONE = BatchPolicy(max_batch_size=4, max_queue_size=100, is_padded=False)


def text(first: int, count: int, priority: Priority = "interactive") -> list[QueuedItem[int]]:
    """So many items of a second each, which come together."""
    return [item(part, cost=1, priority=priority) for part in range(first, first + count)]


def taken(line: Line[int], room: int = 4) -> list[int]:
    return [found.part for found in line.take(room).items]


@pytest.fixture
def open_line(clock: Clock) -> Line[int]:
    return Line(ONE_BY_ONE, clock, BatchPace(A_SECOND_A_UNIT, 4))


async def test_a_sentence_does_not_wait_for_all_of_a_long_text(open_line: Line[int]) -> None:
    open_line.enter(text(0, 40))
    open_line.enter(text(100, 5))  # more than a tenth
    open_line.enter(text(200, 4))
    open_line.enter(text(300, 1))
    assert [taken(open_line) for _ in range(3)] == [
        [200, 201, 202, 203],
        [300, 0, 1, 2],
        [3, 4, 5, 6],
    ]


async def test_a_long_text_is_held_up_by_less_than_half_of_its_time(open_line: Line[int]) -> None:
    open_line.enter(text(0, 20))
    for part in range(100, 120):
        open_line.enter(text(part, 1))
    assert taken(open_line) == [100, 101, 102, 103]
    assert taken(open_line, 3) == [104, 105, 106]
    assert taken(open_line) == [107, 0, 1, 2], "8 s of its 20"
    assert taken(open_line) == [3, 4, 5, 6]
    assert [taken(open_line) for _ in range(4)][-1] == [19, 108, 109, 110]


async def test_who_has_no_room_has_not_gone_before(open_line: Line[int]) -> None:
    open_line.enter(text(0, 20))
    for part in range(100, 104):
        open_line.enter(text(part, 1))
    assert taken(open_line, 1) == [100]
    (oldest,) = open_line.take(4).items[-1:]
    assert oldest.part == 0
    assert oldest.load.yielded_s == 4.0


async def test_who_has_left_goes_before_nobody(open_line: Line[int]) -> None:
    open_line.enter(text(0, 20))
    gone = text(100, 1)
    gone[0].claims.clear()
    open_line.enter(gone)
    open_line.enter(text(101, 1))
    assert taken(open_line) == [101, 0, 1, 2]


async def test_a_text_that_would_be_late_for_it_is_not_held_up(
    open_line: Line[int], clock: Clock
) -> None:
    long = text(0, 20)
    long[0].claims[0].submission.deadline_s = clock() + 22.0
    open_line.enter(long)
    for part in range(100, 104):
        open_line.enter(text(part, 1))
    assert taken(open_line) == [100, 101, 0, 1]


async def test_nobody_goes_before_a_text_that_is_soon_over(clock: Clock) -> None:
    quick = Line[int](ONE_BY_ONE, clock, BatchPace(Known(Parts(cell_s=0.0001)), 4))
    for items in (text(0, 40), text(100, 1)):
        for one in items:
            one.share_s = 0.00049
        quick.enter(items)
    assert taken(quick) == [0, 1, 2, 3]


async def test_who_goes_before_texts_is_foreseen_to(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock
) -> None:
    batcher = make_batcher(ONE_BY_ONE, latency=A_SECOND_A_UNIT)
    tasks: list[asyncio.Task[Any]] = await busy(batcher, runner)
    for first in (100, 200):
        parts = range(first, first + 30)
        tasks.append(asyncio.ensure_future(batcher.submit_many(parts, deadline=FAR)))
    await turn()
    # What runs, one of the texts, and four together; three more seconds would be four of a text.
    with pytest.raises(Overloaded):
        await batcher.submit(1, deadline=clock() + 34.5)
    tasks.append(submitted(batcher, 1, deadline=clock() + 35.0))
    await turn()
    assert not tasks[-1].done()
    with pytest.raises(Overloaded):
        await batcher.submit_many(range(2, 6), deadline=clock() + 60.0)
    runner.open()
    await asyncio.gather(*tasks)
    assert runner.batches[1][0] == 1

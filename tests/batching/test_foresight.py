"""The margin by which answers may come later than foreseen, from those that did."""

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.foresight import HALF_LIFE_S, MOST, OWED, STEP, Foresight
from service.errors import DeadlineExceeded, Overloaded
from tests.batching.doubles import Clock, GatedRunner, turn
from tests.batching.known import ONE_BY_ONE, busy, submitted

MakeBatcher = Callable[..., Batcher[int, Any]]


IN_TIME_FOR_ONE_LATE = 99


def test_who_is_always_in_time_asks_for_no_margin() -> None:
    foresight = Foresight()
    for _ in range(100):
        foresight.answered(2.0, 2.0)
    assert foresight.margin == 1.0


def test_one_late_answer_counts_as_ninety_nine_in_time() -> None:
    foresight = Foresight()
    foresight.answered(2.0, 2.1)
    assert foresight.margin == pytest.approx(1.0 + 0.99 * STEP)
    for _ in range(IN_TIME_FOR_ONE_LATE - 1):
        foresight.answered(2.0, 2.0)
    assert foresight.margin > 1.0
    for _ in range(3):
        foresight.answered(2.0, 2.0)
    assert foresight.margin == 1.0


def test_the_margin_is_what_all_but_one_in_a_hundred_keep() -> None:
    foresight, chance = Foresight(), random.Random(1)
    for _ in range(20_000):
        foresight.answered(foresight.margin, chance.uniform(0.5, 1.5))
    assert 1.45 < foresight.margin < 1.55


def test_what_takes_for_ever_is_not_believed_for_ever() -> None:
    foresight = Foresight()
    for _ in range(1000):
        foresight.answered(1.0, 100.0)
    assert foresight.margin == MOST


def test_all_who_are_late_at_once_are_remembered() -> None:
    foresight = Foresight()
    for _ in range(70):  # a whole queue, let in before the machine slowed down
        foresight.answered(1.0, 1.1)
    for _ in range(30 * IN_TIME_FOR_ONE_LATE):
        foresight.answered(1.0, 1.0)
    assert foresight.margin == MOST
    for _ in range(30 * IN_TIME_FOR_ONE_LATE):
        foresight.answered(1.0, 1.0)
    assert 1.0 < foresight.margin < MOST


def test_but_no_more_than_a_few_times_over() -> None:
    foresight = Foresight()
    for _ in range(1000):
        foresight.answered(1.0, 1.1)
    from_most_to_none = math.log(MOST) / STEP * IN_TIME_FOR_ONE_LATE
    for _ in range(round(2.2 * from_most_to_none)):
        foresight.answered(1.0, 1.0)
    assert foresight.margin < MOST


def test_what_was_learnt_fades_with_the_time() -> None:
    foresight = Foresight()
    foresight.fade(1000.0)
    for _ in range(1000):
        foresight.answered(1.0, 1.1)
    foresight.fade(1000.0 + HALF_LIFE_S)
    assert foresight.margin == MOST, "OWED, of which a half is left"
    for minutes in range(1, 20):  # however often it is called
        foresight.fade(1000.0 + HALF_LIFE_S + 60.0 * minutes)
    foresight.fade(1000.0 + 5.0 * HALF_LIFE_S)
    assert foresight.margin == pytest.approx(OWED ** (0.5**5))


def test_a_promise_is_what_is_foreseen_and_the_margin() -> None:
    foresight = Foresight()
    assert foresight.promise_s(0.6, spare_s=1.0) == 0.6
    foresight.answered(0.6, 0.7)
    assert foresight.promise_s(0.6, spare_s=1.0) == pytest.approx(0.6 * foresight.margin)


def test_short_ways_promise_nothing_that_shows_anything() -> None:
    foresight = Foresight()
    assert foresight.promise_s(0.5, spare_s=1.0) == 0.5
    assert foresight.promise_s(0.49, spare_s=1.0) is None
    foresight.answered(1.0, 1.1)
    assert foresight.promise_s(0.495, spare_s=1.0) is not None, "it is long with the margin"


@pytest.mark.parametrize("slower", [1.0, 1.3, 2.0])
def test_few_are_let_in_and_late_on_a_machine_whose_speed_comes_and_goes(slower: float) -> None:
    """Three times the capacity for some minutes, on a clock of its own."""
    late, answered = overloaded(slower, seconds=300.0)
    assert late < 0.02 * answered
    assert answered > 290.0 * ITEMS_PER_S / ((1.0 + slower) / 2)  # and nothing is lost by it


ITEMS_PER_S, SPARE_S, PHASE_S = 300.0, 1.0, 4.0


def overloaded(slower: float, seconds: float) -> tuple[int, int]:
    """How many that were let in expired and how many were answered, by one worker that is now and
    then so many times slower, and whose next item is foreseen from its last ones."""
    chance, foresight = random.Random(1), Foresight()
    waiting: deque[tuple[float, float | None]] = deque()
    now_s, item_s, late, answered = 0.0, 1.0 / ITEMS_PER_S, 0, 0
    factor, turns_s, comes_s = 1.0, PHASE_S, 0.0
    while now_s < seconds:
        while turns_s < now_s:
            factor = slower if factor == 1.0 else 1.0
            turns_s += chance.expovariate(1.0 / PHASE_S)
        while comes_s <= now_s:
            foresight.fade(comes_s)
            foreseen_s = (len(waiting) + 1) * item_s
            if foresight.margin * foreseen_s <= SPARE_S:
                waiting.append((comes_s, foresight.promise_s(foreseen_s, SPARE_S)))
            comes_s += chance.expovariate(3.0 * ITEMS_PER_S)
        if not waiting:
            now_s = comes_s
            continue
        came_s, promised_s = waiting.popleft()
        if now_s <= came_s + SPARE_S:
            took_s = max(0.3, chance.gauss(1.0, 0.2)) * factor / ITEMS_PER_S
            now_s += took_s
            item_s += 0.05 * (took_s - item_s)
        way_s = min(now_s - came_s, SPARE_S + 1e-3)  # whoever expires is not waited for
        late += way_s > SPARE_S
        answered += way_s <= SPARE_S
        if promised_s is not None:
            foresight.answered(promised_s, way_s)
    return late, answered


pytestmark = pytest.mark.anyio


async def test_after_a_late_answer_nobody_is_let_in_by_a_hair(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    tasks = await busy(batcher, runner, 1)
    assert batcher.refusal("interactive", 3.01) is None
    late = submitted(batcher, 2, deadline=clock() + 3.01)
    await turn()
    clock.advance(3.02)
    await turn()
    with pytest.raises(DeadlineExceeded):
        await late
    assert batcher.margin == 1.0 + 0.99 * STEP
    tasks.append(submitted(batcher, 3))
    await turn()
    refusal = batcher.refusal("interactive", 4.01)
    assert isinstance(refusal, Overloaded)
    assert "about 4.1 s and is wanted within 4" in refusal.detail
    with pytest.raises(Overloaded):
        await submitted(batcher, 4, deadline=clock() + 4.01)
    assert batcher.refusal("interactive", 4.1) is None
    runner.open()
    await asyncio.gather(*tasks)


async def test_who_is_refused_by_a_margin_of_long_ago_comes_in_again(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    tasks = await busy(batcher, runner, 1)
    late = submitted(batcher, 2, deadline=clock() + 3.01)
    await turn()
    clock.advance(3.02)
    with pytest.raises(DeadlineExceeded):
        await late
    with pytest.raises(Overloaded):
        await submitted(batcher, 3, deadline=clock() + 3.01)
    clock.advance(4 * HALF_LIFE_S)
    tasks.append(submitted(batcher, 4, deadline=clock() + 3.01))
    await turn()
    runner.open()
    await asyncio.gather(*tasks)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """What was foreseen, and what came."""
    found: list[tuple[float, float]] = []
    monkeypatch.setattr(Foresight, "answered", lambda _, *what: found.append(what))
    return found


async def test_answers_in_time_are_looked_back_at_too_and_once(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock, seen: list[tuple[float, float]]
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    tasks = await busy(batcher, runner, 1)
    in_time, far = (submitted(batcher, n, deadline=clock() + s) for n, s in ((2, 5.0), (3, 50.0)))
    await turn()
    clock.advance(2.0)
    runner.open()
    await asyncio.gather(*tasks, in_time, far)
    assert seen == [(3.0, 2.0)]


async def test_who_expires_while_it_runs_is_looked_back_at_once(
    make_batcher: MakeBatcher, runner: GatedRunner, clock: Clock, seen: list[tuple[float, float]]
) -> None:
    batcher = make_batcher(**ONE_BY_ONE)
    tasks = await busy(batcher, runner)
    late = submitted(batcher, 1, deadline=clock() + 3.0)
    await turn()
    runner.let_through()
    await runner.entered()
    clock.advance(3.0)
    await turn()
    with pytest.raises(DeadlineExceeded):
        await late
    runner.open()
    await asyncio.gather(*tasks, submitted(batcher, 2))
    assert seen == [(2.0, 3.0)]

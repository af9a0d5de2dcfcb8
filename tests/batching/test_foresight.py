"""The margin by which answers may come later than foreseen, from those that did."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from service.batching.batcher import Batcher
from service.batching.foresight import MOST, STEP, Foresight, is_telling
from service.errors import DeadlineExceeded, Overloaded
from tests.batching.doubles import Clock, GatedRunner, turn
from tests.batching.known import ONE_BY_ONE, busy, submitted

MakeBatcher = Callable[..., Batcher[int, Any]]


def test_who_is_always_in_time_asks_for_no_margin() -> None:
    foresight = Foresight()
    for _ in range(100):
        foresight.answered(2.0, 2.0)
    assert foresight.margin == 1.0


def test_one_late_answer_counts_as_ninety_nine_in_time() -> None:
    foresight = Foresight()
    foresight.answered(2.0, 2.1)
    assert foresight.margin == pytest.approx(1.0 + 0.99 * STEP)
    for _ in range(98):
        foresight.answered(2.0, 2.0)
    assert foresight.margin > 1.0
    for _ in range(3):
        foresight.answered(2.0, 2.0)
    assert foresight.margin == 1.0


def test_the_margin_is_what_all_but_one_in_a_hundred_keep() -> None:
    foresight, chance = Foresight(), random.Random(1)
    for _ in range(20_000):
        foresight.answered(1.0, chance.uniform(0.5, 1.5))
    assert 1.45 < foresight.margin < 1.55


def test_what_takes_for_ever_is_not_believed_for_ever() -> None:
    foresight = Foresight()
    for _ in range(1000):
        foresight.answered(1.0, 100.0)
    assert foresight.margin == MOST


def test_short_ways_tell_nothing() -> None:
    assert is_telling(0.5, 1.0)
    assert not is_telling(0.49, 1.0)


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

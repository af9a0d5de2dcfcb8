"""When the event loop waits for the tick of the kernel's clock, and when it does not."""

import asyncio
import gc
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.app import event_loop
from service.app.event_loop import RECENT_S, SWITCH_S, YOUNG_OBJECTS, Patience, be_patient, settle
from tests.policies import needs_patience


class World:
    """Models that are asked, and what the loop was told."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.counts = [5, 0, 7]
        self.used_s = 7.0
        self.told: list[bool] = []
        self.patience = Patience(
            lambda: self.counts,
            cores=2,
            be_patient=self.told.append,
            clock=lambda: self.now_s,
            used_s=lambda: self.used_s,
        )

    def ask(self, *places: int, later_s: float = 0.25, busy_cores: float = 1.5) -> list[bool]:
        """These models have ended an item each; what the loop has been told so far."""
        self.now_s += later_s
        self.used_s += busy_cores * later_s
        for place in places:
            self.counts[place] += 1
        self.patience.look()
        return self.told


def test_the_loop_is_patient_while_one_model_alone_is_asked() -> None:
    world = World()
    assert world.ask() == []
    assert world.ask(0) == [True]
    assert world.ask(0) == [True]


def test_it_is_quick_again_as_soon_as_a_second_one_is_asked_and_for_a_while() -> None:
    world = World()
    world.ask(0)
    assert world.ask(2) == [True, False]
    assert world.ask(0, later_s=RECENT_S - 1) == [True, False]
    assert world.ask(0, later_s=2) == [True, False, True]


def test_it_is_quick_where_there_is_a_core_to_run_on() -> None:
    world = World()
    assert world.ask(0, busy_cores=1.3) == []
    assert world.ask(0, busy_cores=1.5) == [True]
    assert world.ask(0, busy_cores=1.3) == [True, False]


def test_who_was_asked_while_cores_were_idle_is_remembered() -> None:
    world = World()
    world.ask(2, busy_cores=0.1)
    assert world.ask(0) == []


def test_nobody_asks_any_more() -> None:
    world = World()
    world.ask(1)
    assert world.ask(later_s=RECENT_S - 1) == [True]
    assert world.ask(later_s=2) == [True, False]


def in_a_thread(patient: bool) -> int:
    """The policy of a thread that was told so; its own, so that ours stays."""

    def policy() -> int:
        be_patient(patient)
        return os.sched_getscheduler(0)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(policy).result()


@needs_patience
def test_patience_is_a_policy_of_one_thread() -> None:
    assert in_a_thread(patient=True) == os.SCHED_BATCH
    assert in_a_thread(patient=False) == os.SCHED_OTHER
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this policy")
def test_a_sandbox_that_forbids_it_costs_a_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counts = [0]

    def forbid(patient: bool) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(event_loop, "LOOK_S", 0.001)
    caplog.set_level("INFO", "slipway.app")
    patience = Patience(lambda: counts, 1, be_patient=forbid, used_s=iter(range(9)).__next__)
    counts[0] += 1
    asyncio.run(asyncio.wait_for(patience.watch(), 10.0))
    assert "keeps its scheduling policy" in caplog.text


@needs_patience
def test_a_policy_that_somebody_chose_for_us_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "LOOK_S", 0.001)
    counts, told = [0], list[bool]()

    def started_in_batch() -> None:
        be_patient(True)
        patience = Patience(lambda: counts, 1, be_patient=told.append)
        counts[0] += 1
        asyncio.run(asyncio.wait_for(patience.watch(), 10.0))

    with ThreadPoolExecutor(1) as pool:
        pool.submit(started_in_batch).result()
    assert told == []


@pytest.fixture
def interpreter() -> Iterator[None]:
    """The interpreter as it was, afterwards."""
    threshold, interval_s = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval_s)


@pytest.mark.usefixtures("interpreter")
def test_the_interpreter_suits_what_is_loaded() -> None:
    settle()
    assert gc.get_freeze_count() > 1000
    assert gc.get_threshold()[0] == YOUNG_OBJECTS
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)

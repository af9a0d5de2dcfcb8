"""Threads that repeat a step: how much they yield to the event loop, and what comes after one that
broke."""

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable
from threading import Event, get_native_id

import pytest

from service.batching import workers as module
from service.batching.workers import (
    BROKEN_S,
    NICER,
    NICEST,
    OFFER_S,
    UNABLE_S,
    Step,
    Workers,
    offering,
    pause_after,
)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own here")
def test_workers_yield_to_the_event_loop(caplog: pytest.LogCaptureFixture) -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    seen: list[int] = []
    done = Event()

    def step() -> bool:
        seen.append(os.getpriority(os.PRIO_PROCESS, get_native_id()))
        if len(seen) == 1:
            raise RuntimeError("the first one dies")
        done.set()
        return False

    workers = Workers(lambda: step, count=1, name="test")
    assert done.wait(10.0)
    assert workers.join(10.0)
    assert seen == [min(NICEST, ours + NICER)] * 2
    assert os.getpriority(os.PRIO_PROCESS, 0) == ours
    assert "died" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own here")
def test_workers_work_where_they_may_not_yield(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*asked: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", forbid)
    done = Event()

    def step() -> bool:
        done.set()
        return False

    workers = Workers(lambda: step, count=1, name="test")
    assert done.wait(10.0)
    assert workers.join(10.0)


class Made:
    """Makes a step, if it is able to, and counts how often."""

    def __init__(self, step: Callable[[], bool] = lambda: True, unable: bool = False) -> None:
        self.count = 0
        self._step = step
        self._unable = unable

    def __call__(self) -> Callable[[], bool]:
        self.count += 1
        if self._unable:
            raise MemoryError("no room for the slots")
        return self._step


class Pauses(Event):
    """An event for which nobody waits in vain: it notes for how long, and comes at the last."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._last = last

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds.append(timeout)
        if len(self.seconds) == self._last:
            self.set()
        return self.is_set()

    def all_over(self, workers: Workers) -> bool:
        return super().wait(10.0) and workers.join(10.0)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    pauses = Pauses(12)
    monkeypatch.setattr(module, "Event", lambda: pauses)
    return pauses


def test_one_that_cannot_make_its_step_pauses_longer_each_time(pauses: Pauses) -> None:
    made = Made(unable=True)
    assert pauses.all_over(Workers(made, count=1, name="test"))
    assert made.count == 12
    growing = [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6]
    assert pauses.seconds == pytest.approx([*growing, UNABLE_S, UNABLE_S])


def test_one_whose_step_breaks_is_not_away_for_long(pauses: Pauses) -> None:
    def broken() -> bool:
        raise RuntimeError

    assert pauses.all_over(Workers(Made(broken), count=1, name="test"))
    assert pauses.seconds == pytest.approx([0.0, 0.1, 0.2, 0.4, 0.8, *[BROKEN_S] * 7])


def test_one_that_has_completed_a_step_begins_anew_at_once(pauses: Pauses) -> None:
    going = iter([True, False] * 99)

    def every_other() -> bool:
        if next(going):
            return True
        raise RuntimeError

    assert pauses.all_over(Workers(Made(every_other), count=1, name="test"))
    assert pauses.seconds == [0.0] * 12


def test_pauses_have_an_end_however_often_a_worker_fails() -> None:
    assert pause_after(5000, UNABLE_S) == UNABLE_S


def test_joining_ends_a_pause_and_nobody_begins_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", UNABLE_S)
    made = Made(unable=True)
    workers = Workers(made, count=1, name="paused")
    until_s = time.monotonic() + 10.0
    while made.count < 2 or workers.alive:
        assert time.monotonic() < until_s
    assert workers.join(10.0)
    assert made.count == 2
    assert not [each for each in threading.enumerate() if each.name.startswith("paused-")]


def test_joining_waits_for_one_that_breaks_meanwhile() -> None:
    at_work, breaks = Event(), Event()

    def step() -> bool:
        at_work.set()
        assert breaks.wait(10.0)
        raise RuntimeError

    made = Made(step)
    workers = Workers(made, count=1, name="test")
    assert at_work.wait(10.0)
    assert not workers.join(0.0)
    breaks.set()
    assert workers.join(10.0)
    assert made.count == 1


def test_a_core_is_offered_between_two_steps_now_and_then() -> None:
    now_s, offers, goes_on = 100.0, 0, True

    def work() -> bool:
        nonlocal now_s
        now_s += OFFER_S / 4
        return goes_on

    def offer() -> None:
        nonlocal offers, now_s
        offers += 1
        now_s += 10 * OFFER_S  # what others do in that time does not count

    step = offering(work, lambda: now_s, offer)
    told = []
    for _ in range(9):
        assert step()
        told.append(offers)
    assert told == [1, 1, 1, 1, 2, 2, 2, 2, 3]
    goes_on = False
    assert not step()


def test_every_worker_offers_its_core(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = Event()

    def watched(step: Step) -> Step:
        return offering(step, offer=offered.set)

    monkeypatch.setattr(module, "offering", watched)
    workers = Workers(lambda: lambda: not offered.is_set(), count=1, name="test")
    assert offered.wait(10.0)
    assert workers.join(10.0)


def test_other_threads_have_the_interpreter_while_a_core_is_offered() -> None:
    before, count, is_over = sys.getswitchinterval(), 0, False

    def other() -> None:
        nonlocal count
        while not is_over:
            count += 1
            time.sleep(0)

    thread = threading.Thread(target=other)
    seconds = itertools.count()
    step = offering(lambda: True, lambda: float(next(seconds)))
    try:
        sys.setswitchinterval(3600.0)  # nobody is made to give it up
        thread.start()
        for _ in range(100_000):
            step()
        assert count > 100
    finally:
        is_over = True
        sys.setswitchinterval(before)
        thread.join(10.0)

"""Threads that repeat a step: how much they yield to the event loop, also when one is replaced."""

import os
import sys
from threading import Event, get_native_id

import pytest

from service.batching.workers import NICER, NICEST, Workers


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

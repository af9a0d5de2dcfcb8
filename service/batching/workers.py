"""Threads that repeat one step for as long as there is work; one that breaks begins anew."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread, get_native_id

log = logging.getLogger("slipway.batching")

# By how much they yield to the event loop on a core that both want: what it has to do is short,
# and under overload its refusals would wait for whole batches.
NICER = 5
NICEST = 19

# How often a worker offers its core, between two steps. A patient event loop waits for the kernel's
# tick, which is as often; but where a worker holds the interpreter then, it waits for another tick.
OFFER_S = 0.004

FIRST_PAUSE_S = 0.1
UNABLE_S = 30.0  # the longest pause of one that cannot even make its step
BROKEN_S = 1.0  # and of one that can: who comes after what broke it must not wait for long
DOUBLINGS = 9  # of the first pause, which pass the longest; a thousand would overflow a float

Step = Callable[[], bool]


class Workers:
    """`count` threads; each makes a step of its own and calls it until it returns False.

    One whose step raises makes a new one: at once, and after growing pauses when it fails again
    before it has completed a step.
    """

    def __init__(self, make_step: Callable[[], Step], *, count: int, name: str) -> None:
        self._make_step = make_step
        self._closed = Event()
        self._pausing: set[int] = set()
        # Daemons: a model that hangs must not keep the process from ending.
        self._threads = [
            Thread(target=self._live, args=(number,), name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        return len(self._threads)

    @property
    def alive(self) -> int:
        """How many run at this moment, and do not pause after a failure."""
        return sum(thread.is_alive() for thread in self._threads) - len(self._pausing)

    def join(self, timeout_s: float) -> bool:
        """Wait until all threads have ended, `timeout_s` at most; True if they have.

        None that breaks begins anew from now on.
        """
        self._closed.set()
        until_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _live(self, number: int) -> None:
        _yield_to_the_event_loop()
        failures = 0  # in a row, without a step between them
        while not self._closed.is_set():
            step: Step | None = None
            try:
                step = offering(self._make_step())
                while step():
                    failures = 0
                return
            except BaseException:
                failures += 1
                pause_s = pause_after(failures, UNABLE_S if step is None else BROKEN_S)
                log.critical(
                    "batch worker %s died; a new one starts in %g s",
                    self._threads[number].name,
                    pause_s,
                    exc_info=True,
                )
            step = None  # what it holds may not fit twice
            self._pausing.add(number)
            self._closed.wait(pause_s)
            self._pausing.discard(number)


def offering(
    step: Step,
    clock: Callable[[], float] = time.monotonic,
    offer: Callable[[], None] = os.sched_yield,
) -> Step:
    """The same step, which offers its core to whoever waits for it every `OFFER_S`; no other thread
    waits for the interpreter meanwhile."""
    due_s = 0.0

    def stepped() -> bool:
        nonlocal due_s
        goes_on = step()
        if clock() >= due_s:
            offer()
            due_s = clock() + OFFER_S
        return goes_on

    return stepped


def pause_after(failures: int, longest_s: float) -> float:
    """Seconds before the next try, after so many failures in a row."""
    if failures <= 1:
        return 0.0
    return min(longest_s, FIRST_PAUSE_S * 2.0 ** min(failures - 2, DOUBLINGS))


def _yield_to_the_event_loop() -> None:
    if sys.platform == "linux":  # elsewhere it is of the whole process
        with suppress(OSError):  # some sandboxes forbid it
            niceness = min(NICEST, os.getpriority(os.PRIO_PROCESS, 0) + NICER)
            os.setpriority(os.PRIO_PROCESS, get_native_id(), niceness)

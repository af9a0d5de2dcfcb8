"""Threads that repeat one step for as long as there is work; one that dies is replaced."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from threading import Thread, get_native_id

log = logging.getLogger("slipway.batching")

# By how much they yield to the event loop on a core that both want: what it has to do is short,
# and under overload its refusals would wait for whole batches.
NICER = 5
NICEST = 19

Step = Callable[[], bool]


class Workers:
    """`count` threads; each makes a step of its own and calls it until it returns False."""

    def __init__(self, make_step: Callable[[], Step], *, count: int, name: str) -> None:
        self._make_step = make_step
        self._name = name
        self._threads: dict[int, Thread] = {}
        self._niceness = min(NICEST, os.getpriority(os.PRIO_PROCESS, 0) + NICER)
        for number in range(count):
            self._start(number)

    def __len__(self) -> int:
        return len(self._threads)

    @property
    def alive(self) -> int:
        """How many threads run at this moment."""
        return sum(thread.is_alive() for thread in self._threads.values())

    def join(self, timeout_s: float) -> bool:
        """Wait until all threads have ended, `timeout_s` at most; True if they have."""
        until_s = time.monotonic() + timeout_s
        while self.alive and time.monotonic() < until_s:
            for thread in tuple(self._threads.values()):
                thread.join(max(0.0, until_s - time.monotonic()))
        return not self.alive

    def _start(self, number: int) -> None:
        # A daemon: a model that hangs must not keep the process from ending.
        thread = Thread(target=self._live, args=(number,), name=f"{self._name}-{number}")
        thread.daemon = True
        self._threads[number] = thread
        thread.start()

    def _live(self, number: int) -> None:
        try:
            if sys.platform == "linux":  # elsewhere it is of the whole process
                os.setpriority(os.PRIO_PROCESS, get_native_id(), self._niceness)
            step = self._make_step()
            while step():
                pass
        except BaseException:
            log.critical(
                "batch worker %s-%d died; a new one starts", self._name, number, exc_info=True
            )
            self._start(number)

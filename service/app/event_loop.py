"""How the thread of the event loop lives beside the workers, once everything is loaded."""

import asyncio
import gc
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence

log = logging.getLogger("slipway.app")

YOUNG_OBJECTS = 20_000
SWITCH_S = 0.0005  # a thread that comes back from ONNX Runtime waits no longer for the interpreter
LOOK_S = 0.25
RECENT_S = 10.0  # a neighbour that is asked every few seconds counts as one
# Share of the cores. Below it there is mostly one to run on at once; waiting would only cost time.
BUSY = 0.7


def settle() -> None:
    """Suit the interpreter to what is loaded by now; call it after the last model."""
    gc.collect()
    gc.freeze()  # what is loaded stays: no collection needs to look at it again
    gc.set_threshold(YOUNG_OBJECTS)  # a request leaves no cycles: look for them seldom
    sys.setswitchinterval(SWITCH_S)


def be_patient(patient: bool) -> None:
    """Whether this thread, woken while another one has its core, waits for the kernel's next tick
    (some 4 ms) instead of pushing it off. On an idle core it goes on at once all the same.

    `man 7 sched`, SCHED_BATCH. Raises OSError where a sandbox forbids it.
    """
    os.sched_setscheduler(0, os.SCHED_BATCH if patient else os.SCHED_OTHER, os.sched_param(0))


class Patience:
    """Makes the event loop patient while its cores are busy with one model alone.

    Whoever arrives then waits for the running batch anyway, and a worker that every packet pushes
    off its core works with cold caches. The request of a second model need not wait for the
    first one's, so the loop is quick again within a quarter of a second of its coming.

    `counts` tells how many items of each model have ended so far, always in the same order;
    `used_s` the processor time of the whole process, which may keep `cores` busy.
    """

    def __init__(
        self,
        counts: Callable[[], Sequence[int]],
        cores: int,
        *,
        be_patient: Callable[[bool], None] = be_patient,
        clock: Callable[[], float] = time.monotonic,
        used_s: Callable[[], float] = time.process_time,
    ) -> None:
        self._counts = counts
        self._cores = cores
        self._be_patient = be_patient
        self._clock = clock
        self._used_s = used_s
        self._seen = tuple(counts())
        self._seen_s = clock(), used_s()
        self._asked_s: dict[int, float] = {}
        self._patient = False

    async def watch(self) -> None:
        """Look for ever; run it as a task. Ends where that policy is missing or forbidden, or where
        whoever started us chose one."""
        if not hasattr(os, "SCHED_BATCH") or os.sched_getscheduler(0) != os.SCHED_OTHER:
            return
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                self.look()
        except OSError as error:
            log.info("the event loop keeps its scheduling policy", extra={"reason": str(error)})

    def look(self) -> None:
        """Decide anew."""
        busy, for_one = self._is_busy(), self._is_for_one()
        patient = busy and for_one
        if patient != self._patient:
            self._patient = patient
            self._be_patient(patient)

    def _is_busy(self) -> bool:
        (then_s, used_then_s), self._seen_s = self._seen_s, (self._clock(), self._used_s())
        now_s, used_now_s = self._seen_s
        return used_now_s - used_then_s >= BUSY * self._cores * (now_s - then_s)

    def _is_for_one(self) -> bool:
        now_s, counts = self._clock(), tuple(self._counts())
        for place, (before, after) in enumerate(zip(self._seen, counts, strict=True)):
            if after != before:
                self._asked_s[place] = now_s
        self._seen = counts
        return sum(now_s - asked_s <= RECENT_S for asked_s in self._asked_s.values()) == 1

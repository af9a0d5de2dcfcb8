"""Finds workers that live and answer nobody: their event loop stands still.

Each tells the time whenever its loop comes round. Linux and macOS have one monotonic clock for all
processes.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from service.fleet.seat import Seat
from service.fleet.shared_numbers import shared_floats

BEAT_S, LOOK_S = 1.0, 5.0
LOOKS = 4  # in the time after which a worker is taken for stuck, at least
UNWATCHED = 0.0  # while it starts, and from when it begins to leave


async def tell_beats(seat: Seat) -> None:
    """Let the supervisor know that the event loop comes round; run it as a task."""
    beats = _beats(seat.folder, seat.count)
    try:
        while True:
            beats[seat.number] = time.monotonic()
            await asyncio.sleep(BEAT_S)
    finally:
        beats[seat.number] = UNWATCHED


class Watchdog:
    """The supervisor's look at its workers; with `patience_s` 0 it looks at nobody."""

    def __init__(
        self,
        folder: Path,
        count: int,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._beats = _beats(folder, count)
        self._patience_s = patience_s
        self._clock = clock
        self._every_s = min(LOOK_S, patience_s / LOOKS)
        self._watched_since_s = clock()
        self._next_look_s = self._watched_since_s + self._every_s

    def pause_s(self) -> float | None:
        """Until the next look; None if there will be none."""
        if not self._patience_s:
            return None
        return max(0.0, self._next_look_s - self._clock())

    def look(self) -> Sequence[tuple[int, float]]:
        """Who has stood still for too long, and for how many seconds; nobody before it is time."""
        now_s = self._clock()
        if not self._patience_s or now_s < self._next_look_s:
            return ()
        if now_s - self._next_look_s > self._every_s:
            self._watched_since_s = now_s  # we stood still ourselves: all may have been paused
        self._next_look_s = now_s + self._every_s
        silent_s = (now_s - max(beat, self._watched_since_s) for beat in self._beats)
        return [
            (number, seconds)
            for number, seconds in enumerate(silent_s)
            if self._beats[number] != UNWATCHED and seconds > self._patience_s
        ]

    def forget(self, number: int) -> None:
        """Whoever was in this seat has gone."""
        self._beats[number] = UNWATCHED


def _beats(folder: Path, count: int) -> "memoryview[float]":
    """The time of each worker's last beat."""
    return shared_floats(folder / "beats", count)

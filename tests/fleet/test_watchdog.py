"""Which workers are taken for stuck, by a clock that the test winds."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.fleet.seat import Seat
from service.fleet.shared_numbers import shared_floats
from service.fleet.watchdog import BEAT_S, LOOK_S, UNWATCHED, Watchdog, tell_beats

PATIENCE_S = 30.0
COUNT = 2


class Yard:
    """Two workers and who watches them, from second 100 on."""

    def __init__(self, folder: Path, patience_s: float = PATIENCE_S) -> None:
        self.now_s = 100.0
        self.dog = Watchdog(folder, COUNT, patience_s, lambda: self.now_s)
        self.beats = shared_floats(folder / "beats", COUNT)

    def passes(self, seconds: float, *, beating: Sequence[int] = ()) -> dict[int, float]:
        """Whoever was found in that time, by seats; the supervisor wakes as it should."""
        found: dict[int, float] = {}
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + BEAT_S)
            for number in beating:
                self.beats[number] = self.now_s
            found |= dict(self.dog.look())
        return found


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def test_who_beats_is_left_alone(yard: Yard) -> None:
    assert yard.passes(10 * PATIENCE_S, beating=(0, 1)) == {}


def test_who_stops_is_found_once_patience_is_over(yard: Yard) -> None:
    yard.passes(10, beating=(0, 1))
    assert yard.passes(PATIENCE_S, beating=(1,)) == {}
    assert yard.passes(LOOK_S, beating=(1,)) == {0: pytest.approx(PATIENCE_S + LOOK_S, abs=LOOK_S)}


def test_who_never_beat_is_not_watched(yard: Yard) -> None:
    assert yard.passes(10 * PATIENCE_S, beating=(1,)) == {}


def test_whoever_has_gone_is_forgotten(yard: Yard) -> None:
    yard.passes(10, beating=(0, 1))
    yard.dog.forget(0)
    assert yard.passes(10 * PATIENCE_S, beating=(1,)) == {}


def test_a_pause_of_all_is_nobodys_fault(yard: Yard) -> None:
    yard.passes(10, beating=(0, 1))
    yard.now_s += 3600
    assert yard.dog.look() == []
    assert yard.passes(PATIENCE_S - LOOK_S) == {}
    assert set(yard.passes(2 * LOOK_S)) == {0, 1}


def test_it_looks_now_and_then(yard: Yard) -> None:
    assert yard.dog.pause_s() == LOOK_S
    yard.now_s += LOOK_S + 1
    assert yard.dog.pause_s() == 0
    yard.dog.look()
    assert yard.dog.pause_s() == LOOK_S


def test_a_short_patience_needs_more_looks(tmp_path: Path) -> None:
    assert Yard(tmp_path, patience_s=2.0).dog.pause_s() == 0.5


def test_without_patience_nobody_is_watched(tmp_path: Path) -> None:
    yard = Yard(tmp_path, patience_s=0.0)
    assert yard.dog.pause_s() is None
    yard.passes(10, beating=(0, 1))
    assert yard.passes(1000) == {}


@pytest.mark.anyio
async def test_a_worker_tells_its_beats_until_it_leaves(tmp_path: Path) -> None:
    seat = Seat(1, COUNT, tmp_path, report=-1, lifeline=-1)
    beats = shared_floats(tmp_path / "beats", COUNT)
    before_s = time.monotonic()
    beating = asyncio.create_task(tell_beats(seat))
    await asyncio.sleep(0)
    assert beats[0] == UNWATCHED
    assert before_s <= beats[1] <= time.monotonic()
    beating.cancel()
    await asyncio.wait([beating])
    assert beats[1] == UNWATCHED

"""Workers that are started, die, are replaced, and leave: real processes that load nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import psutil
import pytest
from blockbuster import BlockBuster

from service.fleet.launch import reserve
from service.fleet.supervisor import WorkersFailed, pause_after
from service.http.server import listen

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def blockbuster() -> BlockBuster | None:
    """These tests have no event loop of ours to guard."""
    return None


class Fleet:
    """A supervisor with two workers."""

    def __init__(self, folder: Path, script: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fleet.supervised", str(folder), script],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def logged(self, message: str) -> dict[str, Any]:
        """The next record with this message."""
        assert self.process.stderr is not None
        records: Iterator[dict[str, Any]] = map(json.loads, self.process.stderr)
        return next(record for record in records if record["message"] == message)

    def pid(self, number: int) -> int:
        return int((self.folder / f"{number}.pid").read_text())

    def lives(self, number: int) -> int:
        return int((self.folder / f"{number}.lives").read_text())

    def left(self, number: int) -> bool:
        return (self.folder / f"{number}.left").exists()

    def wait(self) -> int:
        return self.process.wait(timeout=PATIENCE_S)


@pytest.fixture
def fleet(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, getattr(request, "param", "good"))
    yield fleet
    fleet.process.kill()
    fleet.process.communicate()


def until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_all_are_ready_before_it_is_said_and_leave_in_good_order(fleet: Fleet) -> None:
    assert fleet.said() == "ready"
    assert (fleet.lives(0), fleet.lives(1)) == (1, 1)
    fleet.process.send_signal(signal.SIGTERM)
    assert fleet.wait() == 0
    assert fleet.left(0)
    assert fleet.left(1)


def test_one_that_dies_is_replaced_and_the_other_lives_on(fleet: Fleet) -> None:
    fleet.said()
    first, other = fleet.pid(0), fleet.pid(1)
    os.kill(first, signal.SIGKILL)
    until(lambda: fleet.lives(0) == 2 and fleet.pid(0) != first)
    assert fleet.pid(1) == other
    fleet.process.send_signal(signal.SIGTERM)
    assert fleet.wait() == 0
    assert fleet.lives(1) == 1


@pytest.mark.parametrize("fleet", ["cannot"], indirect=True)
def test_what_keeps_one_from_starting_is_told_and_ends_all(fleet: Fleet) -> None:
    assert fleet.said().startswith("failed: worker ")
    assert fleet.wait() == 1


@pytest.mark.parametrize("fleet", ["only once"], indirect=True)
def test_what_keeps_a_replacement_from_starting_is_logged_each_time(fleet: Fleet) -> None:
    fleet.said()
    os.kill(fleet.pid(1), signal.SIGKILL)
    for _ in range(2):
        record = fleet.logged("a worker cannot start")
        assert (record["level"], record["worker"]) == ("error", 1)
        assert record["reason"] == "worker 1 has no model"
    assert fleet.process.poll() is None


@pytest.mark.parametrize("fleet", ["only once", "short-lived"], indirect=True)
def test_a_seat_whose_workers_die_young_is_taken_again_after_growing_pauses(fleet: Fleet) -> None:
    fleet.said()
    os.kill(fleet.pid(0), signal.SIGKILL)
    died = [fleet.logged("a worker died; a new one starts") for _ in range(3)]
    assert [record["pause_s"] for record in died] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("fleet", ["no second process"], indirect=True)
def test_a_system_without_room_for_all_is_told_of(fleet: Fleet) -> None:
    said = fleet.said()
    assert said == "failed: cannot start worker 1: no more processes; start fewer with --workers"
    assert fleet.wait() == 1


@pytest.mark.parametrize("fleet", ["no third process"], indirect=True)
def test_a_replacement_that_finds_no_room_comes_later_and_the_other_lives_on(fleet: Fleet) -> None:
    fleet.said()
    first, other = fleet.pid(0), fleet.pid(1)
    os.kill(first, signal.SIGKILL)
    record = fleet.logged("a worker cannot start")
    assert (record["level"], record["worker"], record["pause_s"]) == ("error", 0, 0.5)
    assert "no more processes" in record["reason"]
    until(lambda: fleet.lives(0) == 2 and fleet.pid(0) != first)
    assert fleet.pid(1) == other
    fleet.process.send_signal(signal.SIGTERM)
    assert fleet.wait() == 0
    assert fleet.lives(1) == 1


@pytest.mark.parametrize("fleet", ["first hangs up"], indirect=True)
def test_one_that_has_hung_up_keeps_nobody_from_being_replaced(fleet: Fleet) -> None:
    fleet.said()
    until((fleet.folder / "hung.up").exists)
    other = fleet.pid(1)
    os.kill(other, signal.SIGKILL)
    until(lambda: fleet.lives(1) == 2 and fleet.pid(1) != other)


@pytest.mark.parametrize("fleet", ["signal at birth"], indirect=True)
def test_a_signal_to_one_that_was_just_born_is_not_lost(fleet: Fleet) -> None:
    assert fleet.said() == "", "it is never ready"
    assert fleet.wait() == 1


def test_pauses_have_an_end_however_often_a_worker_dies() -> None:
    assert [pause_after(deaths) for deaths in range(1, 9)] == [0, 0.5, 1, 2, 4, 8, 16, 30]
    assert pause_after(5000) == 30


@pytest.mark.parametrize("fleet", ["stubborn"], indirect=True)
def test_a_second_signal_ends_what_does_not_leave(fleet: Fleet) -> None:
    fleet.said()
    pids = [fleet.pid(0), fleet.pid(1)]
    fleet.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    assert fleet.process.poll() is None
    fleet.process.send_signal(signal.SIGTERM)
    assert fleet.wait() == 1
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_do_not_outlive_their_supervisor(fleet: Fleet) -> None:
    fleet.said()
    fleet.process.kill()
    until(lambda: fleet.left(0) and fleet.left(1))


@pytest.mark.parametrize("fleet", ["stuck, busy", "stuck, stopped"], indirect=True)
def test_one_that_stands_still_is_ended_and_replaced(fleet: Fleet) -> None:
    fleet.said()
    first, other = fleet.pid(0), fleet.pid(1)
    record = fleet.logged("a worker stands still and is ended")
    assert (record["level"], record["worker"], record["pid"]) == ("error", 0, first)
    assert record["silent_s"] >= 1.2
    until(lambda: fleet.lives(0) == 2 and fleet.pid(0) != first)
    assert fleet.pid(1) == other


@pytest.mark.parametrize("fleet", ["stuck, busy"], indirect=True)
def test_one_that_stood_still_tells_where(fleet: Fleet) -> None:
    fleet.said()
    fleet.logged("a worker stands still and is ended")
    assert fleet.process.stderr is not None
    before = list(takewhile(lambda line: "a worker died" not in line, fleet.process.stderr))
    assert any("in stands_still" in line for line in before)
    assert fleet.lives(1) == 1


@pytest.mark.parametrize("fleet", ["stuck, stopped"], indirect=True)
def test_one_that_stands_still_keeps_nobody_from_leaving(fleet: Fleet) -> None:
    fleet.said()
    stuck = psutil.Process(fleet.pid(0))
    until(lambda: stuck.status() == psutil.STATUS_STOPPED)
    fleet.process.send_signal(signal.SIGTERM)
    fleet.wait()
    assert not stuck.is_running()


def test_a_port_that_somebody_has_is_refused() -> None:
    with reserve("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(WorkersFailed, match=f"127.0.0.1:{port}.*choose another"):
            reserve("127.0.0.1", port)


def test_a_port_is_taken_over_from_a_server_that_just_left() -> None:
    with listen("127.0.0.1", 0) as before:
        before.listen()
        port = before.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        before.accept()[0].close()  # who closes first waits in TIME_WAIT
        assert client.recv(1) == b""
        client.close()
    with reserve("127.0.0.1", port), listen("127.0.0.1", port, shared=True) as worker:
        worker.listen()
        socket.create_connection(("127.0.0.1", port)).close()

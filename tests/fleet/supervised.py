"""A supervisor over workers that load nothing: run by test_supervisor as a process of its own.

supervised.py FOLDER SCRIPT   where SCRIPT names what the workers do
"""

import asyncio
import errno
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

from service.fleet import watchdog
from service.fleet.seat import Seat
from service.fleet.supervisor import Supervisor, WorkersFailed
from service.logs import configure_logging

WATCHDOG_S = 1.2
watchdog.BEAT_S = 0.1  # far less, however busy the machine is


def main() -> int:
    folder, script = Path(sys.argv[1]), sys.argv[2]
    configure_logging("info", "json")
    os.fork = forking(script)
    try:
        return Supervisor(
            lambda seat: work(seat, folder, script),
            count=2,
            folder=folder,
            announce=say,
            watchdog_s=WATCHDOG_S if script.startswith("stuck") else 0.0,
        ).run()
    except WorkersFailed as error:
        say(f"failed: {error}")
        return 1


async def beat(seat: Seat, script: str) -> None:
    """Until the supervisor goes; the first in seat 0 stands still, the way that the script says."""
    beating = asyncio.create_task(watchdog.tell_beats(seat))
    await asyncio.sleep(0)
    if seat.number == 0 and not seat.replacement:
        if script == "stuck, stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        stands_still()
    asyncio.get_running_loop().add_reader(seat.lifeline, beating.cancel)
    with suppress(asyncio.CancelledError):
        await beating


def stands_still() -> None:
    time.sleep(60)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def note(path: Path, text: str) -> None:
    """All at once, for a test that looks again and again."""
    new = path.with_suffix(f".{os.getpid()}")
    new.write_text(text)
    new.rename(path)


def work(seat: Seat, folder: Path, script: str) -> int:
    life = folder / f"{seat.number}.lives"
    lives = int(life.read_text()) + 1 if life.exists() else 1
    note(life, str(lives))
    if script == "cannot" or (script == "only once" and seat.replacement):
        seat.tell("failed", f"worker {seat.number} has no model")
        return 1
    if script == "short-lived" and seat.replacement:
        seat.tell("ready", "ready")
        return 1
    if script.startswith("stuck") and seat.replacement:
        time.sleep(1.5 * WATCHDOG_S)  # loading is no standing still
    leave = os.pipe()
    os.set_blocking(leave[1], False)
    signal.set_wakeup_fd(leave[1])
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    note(folder / f"{seat.number}.pid", str(os.getpid()))
    seat.tell("ready", f"{'again ' if seat.replacement else ''}ready")
    if script == "first hangs up" and seat.number == 0:
        os.close(seat.report)
        (folder / "hung.up").touch()
    if script.startswith("stuck"):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        asyncio.run(beat(seat, script))
    if script != "stubborn":
        select.select([leave[0], seat.lifeline], [], [])
    while script == "stubborn":
        signal.pause()
    (folder / f"{seat.number}.left").write_text("in good order")
    return 0


def forking(script: str) -> Callable[[], int]:
    """As the system forks, but for what the script says of one time."""
    fork, times = os.fork, count(1)

    def forked() -> int:
        time = next(times)
        if (script, time) in (("no second process", 2), ("no third process", 3)):
            raise BlockingIOError(errno.EAGAIN, "no more processes")
        pid = fork()
        if pid == 0 and (script, time) == ("signal at birth", 2):
            os.kill(os.getpid(), signal.SIGTERM)
        return pid

    return forked


if __name__ == "__main__":
    sys.exit(main())

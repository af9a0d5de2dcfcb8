"""A supervisor over workers that load nothing: run by test_supervisor as a process of its own.

supervised.py FOLDER SCRIPT   where SCRIPT names what the workers do
"""

import os
import select
import signal
import sys
from pathlib import Path

from service.fleet.seat import Seat
from service.fleet.supervisor import Supervisor, WorkersFailed
from service.logs import configure_logging


def main() -> int:
    folder, script = Path(sys.argv[1]), sys.argv[2]
    configure_logging("info", "json")

    def work(seat: Seat) -> int:
        life = folder / f"{seat.number}.lives"
        lives = int(life.read_text()) + 1 if life.exists() else 1
        life.write_text(str(lives))
        if script == "cannot" or (script == "only once" and seat.replacement):
            seat.tell("failed", f"worker {seat.number} has no model")
            return 1
        if script == "short-lived" and seat.replacement:
            seat.tell("ready", "ready")
            return 1
        leave = os.pipe()
        os.set_blocking(leave[1], False)
        signal.set_wakeup_fd(leave[1])
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        (folder / f"{seat.number}.pid").write_text(str(os.getpid()))
        seat.tell("ready", f"{'again ' if seat.replacement else ''}ready")
        if script != "stubborn":
            select.select([leave[0], seat.lifeline], [], [])
        while script == "stubborn":
            signal.pause()
        (folder / f"{seat.number}.left").write_text("in good order")
        return 0

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    try:
        return Supervisor(work, count=2, folder=folder, announce=say).run()
    except WorkersFailed as error:
        say(f"failed: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())

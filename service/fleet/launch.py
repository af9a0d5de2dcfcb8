"""`slipway serve --workers N`: the port, the private folder, and the supervisor over both."""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.fleet.seat import Seat
from service.fleet.supervisor import Supervisor, WorkersFailed

LONGEST_PATH = 103  # bytes of the path of a Unix socket on macOS; Linux has four more
LONGEST_NAME = "/9999.sock"
FOLDERS = Path("/proc/self/fd")  # each open folder by its number, where there is such a thing


def run_fleet(
    host: str,
    port: int,
    count: int,
    shape: str,
    work: Callable[[int, Seat], int],
    watchdog_s: float = 0.0,
) -> int:
    """Run `work(port, seat)` in `count` processes until a signal; the exit code.

    `work` may listen on that port in every process; `shape` tells people what they
    are. One whose event loop stands still for `watchdog_s` is replaced; 0: never. Raises
    WorkersFailed.
    """
    with reserve(host, port) as reserved, private_folder() as folder:
        supervisor = Supervisor(
            lambda seat: work(reserved.getsockname()[1], seat),
            count=count,
            folder=folder,
            announce=lambda text: _say(f"{text}  {shape}\n"),
            watchdog_s=watchdog_s,
        )
        return supervisor.run()


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that nobody else may look into, by a path that is short enough for sockets in it.

    The path holds in this process and in those that it forks. Raises WorkersFailed.
    """
    folder = Path(tempfile.mkdtemp(prefix="slipway-"))
    try:
        with _shortened(folder) as short:
            yield short
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _shortened(folder: Path) -> Iterator[Path]:
    if len(os.fsencode(folder)) + len(LONGEST_NAME) <= LONGEST_PATH:
        yield folder
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        short = FOLDERS / str(opened)
        if not short.exists():
            raise WorkersFailed(
                f"{folder.parent} has too long a name for the sockets of the workers; "
                "set TMPDIR to a folder with a shorter one"
            )
        yield short
    finally:
        os.close(opened)


def reserve(host: str, port: int) -> socket.socket:
    """A socket that holds the port for processes that listen on it; it does not listen itself.

    Port 0 takes any free one. Raises WorkersFailed.
    """
    try:
        _bound(host, port, socket.SO_REUSEADDR).close()  # refuses a port that somebody else shares
        with suppress(OSError):
            return _bound(host, port, socket.SO_REUSEPORT)
        # connections of a server that had it alone are still in TIME_WAIT, for a minute
        return _bound(host, port, socket.SO_REUSEPORT, socket.SO_REUSEADDR)
    except OSError as error:
        raise WorkersFailed(
            f"cannot listen on {host}:{port}: {error.strerror}; "
            "choose another with --port or --host"
        ) from error


def _bound(host: str, port: int, *options: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    for option in options:
        found.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    return found


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()

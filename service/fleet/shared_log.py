"""One log for several processes: a line of one never stands inside a line of another."""

import fcntl
import io
from pathlib import Path
from typing import TextIO


class SharedLog(io.TextIOBase):
    """Writes whole texts to `stream`, one process at a time."""

    def __init__(self, stream: TextIO, folder: Path) -> None:
        self._stream = stream
        self._lock = (folder / "log.lock").open("w")

    def write(self, text: str) -> int:
        """Write it at once: who waits for the lock waits for microseconds."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            written = self._stream.write(text)
            self._stream.flush()
            return written
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return self._stream.isatty()

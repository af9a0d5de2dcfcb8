"""A bar on the terminal while load is sent; nothing where stderr is no terminal."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

# Drawing a bar costs more than an answer: look at the clock only after so many of them.
EVERY = 64


class LoadProgress:
    """Tells of each load how far its time has gone, and how many answers came."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[answers]} answers"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._load = self._bar.add_task("", total=1.0, answers=0)
        self._began_s = 0.0
        self._answers = 0

    def begin(self, title: str, seconds: float) -> None:
        """Another load begins."""
        self._began_s, self._answers = time.monotonic(), 0
        self._bar.reset(self._load, description=title, total=seconds, answers=0)

    def answered(self, _: int) -> None:
        """One more answer."""
        self._answers += 1
        if self._answers % EVERY == 0:
            elapsed_s = time.monotonic() - self._began_s
            self._bar.update(self._load, completed=elapsed_s, answers=self._answers)

    def __enter__(self) -> LoadProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

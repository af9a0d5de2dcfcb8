"""What a person sees while a network trains: one bar with loss, score, speed and time left."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_EVERY_S = 30.0


class TrainingProgress:
    """A bar on a terminal; a line every half minute and every epoch in a log file."""

    def __init__(self, title: str, steps: int) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  {task.fields[score]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._title, self._steps = title, steps
        self._task = self._bar.add_task(title, total=steps, loss=float("nan"), score="")
        self._average_loss: float | None = None
        self._spoken = self._started = time.monotonic()
        self._first_step: int | None = None

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, step: int, *, loss: float) -> None:
        old = self._average_loss
        self._average_loss = loss if old is None else 0.95 * old + 0.05 * loss
        self._bar.update(self._task, completed=step, loss=self._average_loss)
        self._first_step = step if self._first_step is None else self._first_step
        now = time.monotonic()
        if self._bar.disable and now - self._spoken > LINE_EVERY_S:
            self._spoken = now
            rate = (now - self._started) / max(step - self._first_step, 1)
            left = rate * (self._steps - step) / 60
            self._say(
                f"step {step}/{self._steps} loss {self._average_loss:.3f}, {left:.1f} min left"
            )

    def report(self, row: Mapping[str, float]) -> None:
        text = "  ".join(f"{name} {value:.4g}" for name, value in row.items())
        self._bar.update(self._task, score=text.split("  ")[-1])
        self._say(text)

    def _say(self, text: str) -> None:
        if self._bar.disable:
            print(f"{self._title}: {text}", file=sys.stderr, flush=True)  # noqa: T201
        else:
            self._console.print(f"{self._title}: {text}")

"""How the exporter talks: one line a step, so that a long run can be followed and read later."""

import sys
import time


class Story:
    """Says what happens, with the seconds since the start."""

    def __init__(self, title: str) -> None:
        self._title, self._started = title, time.monotonic()

    def say(self, sentence: str) -> None:
        seconds = time.monotonic() - self._started
        print(f"[{seconds:7.1f} s] {self._title}: {sentence}", file=sys.stderr, flush=True)  # noqa: T201

"""A process of its own on chosen cores that measures on command: a line of JSON in, one out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from bench.place import ROOT

# Threads of libraries beyond those that a child asks for would blur what one core can do.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


class Child:
    """Runs `python -m MODULE ARGUMENTS` on these cores."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        cores: set[int] | frozenset[int],
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD, **(environment or {})},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )

    def ask(self, **question: Any) -> dict[str, Any]:
        """The answer; RuntimeError if the child is gone."""
        self.tell(**question)
        return self.hear()

    def tell(self, **question: Any) -> None:
        """Ask without waiting, so that two children can work at the same time."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The answer to the last question."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended with code {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def answer_questions(answer: Callable[..., Mapping[str, Any]], options: Sequence[str] = ()) -> None:
    """The other side: call `answer` with the fields of each line until the input ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(**json.loads(line))) + "\n")
        sys.stdout.flush()

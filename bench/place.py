"""Where things run: which core is measured, which one sends the load, and what is served."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Place:
    """The same for all rows of a run. `scale` shortens or lengthens every turn."""

    core: int = 0
    load_core: int = 1
    models: Path = ROOT / "model_zoo"
    scale: float = 1.0
    rounds: int = 3
    serve: tuple[str, ...] = field(default_factory=tuple)

    @property
    def both(self) -> frozenset[int]:
        """The core that is measured and the one of the load."""
        return frozenset((self.core, self.load_core))

    def seconds(self, of_turn: float) -> float:
        """The length of one turn."""
        return of_turn * self.scale


def stay_on(cores: frozenset[int] | set[int]) -> None:
    """Keep this process, and what it starts, on these cores."""
    os.sched_setaffinity(0, cores)

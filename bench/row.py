"""One line of the table: what was measured, against what it should be."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Sense = Literal["≥", "≤", "="]


@dataclass(frozen=True, slots=True)
class Row:
    """`value` is the median of `rounds` where there were several. `unit` is empty for a ratio."""

    key: str
    title: str
    value: float
    aim: float
    sense: Sense = "≥"
    unit: str = ""
    rounds: Sequence[float] = ()
    detail: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_rounds(
        cls, key: str, title: str, rounds: Sequence[float], aim: float, **more: Any
    ) -> Row:
        """The median of paired rounds."""
        rounded = [round(found, 4) for found in rounds]
        return cls(key, title, statistics.median(rounded), aim, rounds=rounded, **more)

    @property
    def reached(self) -> bool:
        """Whether the value is what it should be."""
        if self.sense == "=":
            return self.value == self.aim
        return self.value >= self.aim if self.sense == "≥" else self.value <= self.aim

    @property
    def shown(self) -> str:
        """The value for people, with the least and the most of its rounds."""
        text = (
            f"{self.value:.3g}{self.unit}" if self.value >= 100 else f"{self.value:.2f}{self.unit}"
        )
        if len(self.rounds) > 1:
            text += f" ({min(self.rounds):.2f} to {max(self.rounds):.2f})"
        return text

    @property
    def wanted(self) -> str:
        """The aim for people."""
        return f"{self.sense} {self.aim:g}{self.unit}"

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {**asdict(self), "reached": self.reached}


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)

"""A worker's place among its like: made by the supervisor, taken by one process after another."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Seat:
    """The worker `number` of `count`, which share the private `folder`.

    `report` is where the worker tells the supervisor of itself; `lifeline` ends when the supervisor
    does. A `replacement` follows a worker that died: it takes requests only when it is ready.
    """

    number: int
    count: int
    folder: Path
    report: int
    lifeline: int
    replacement: bool = False

    def socket_of(self, number: int) -> Path:
        """Where the worker of this number answers the others."""
        return self.folder / f"{number}.sock"

    def door_of(self, number: int) -> Path:
        """Where the worker of this number takes connections of others."""
        return self.folder / f"{number}.door"

    def told_by(self, number: int) -> Path:
        """What the workers in that seat have told of their counts so far."""
        return self.folder / f"{number}.told"

    @property
    def others(self) -> tuple[int, ...]:
        """The numbers of the others."""
        return tuple(number for number in range(self.count) if number != self.number)

    def tell(self, word: str, text: str = "") -> None:
        """Tell the supervisor: `ready` with what to say to people, or `failed` with the reason."""
        message = f"{word}\n{text}".encode() + b"\0"
        while message:
            message = message[os.write(self.report, message) :]

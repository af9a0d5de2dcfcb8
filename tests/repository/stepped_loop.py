"""A loop without a model, for what joins and leaves it; and the task and the runner around it."""

from collections.abc import Sequence
from typing import Any

from service.errors import InferenceFailed, InvalidInput


class Task:
    """Features are the part itself, which has a `text`."""

    def preprocess(self, part: Any) -> Any:
        if part.text == "unreadable":
            raise InvalidInput("Send something else.")
        return part

    def partial(self, features: Any, ids: Sequence[int]) -> str | None:
        return str(features.text[: len(ids)])

    def postprocess(self, features: Any, row: Any) -> str:
        if features.text == "no answer":
            raise InferenceFailed("This row means nothing.")
        return f"{features.text}!"


class SteppedLoop:
    """Every part takes as many steps as it has letters; some break the whole step, or the door."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows: dict[int, list[Any]] = {}
        self.tickets = 0
        self.steps = 0

    def width(self, source: Any) -> int:
        return 1

    def row(self, source: Any) -> Any:
        raise NotImplementedError

    @property
    def free(self) -> int:
        return self.capacity - sum(self.width(row[0]) for row in self.rows.values())

    def admit(self, sources: Sequence[Any]) -> list[int]:
        assert sum(map(self.width, sources)) <= self.free
        if any(source.text == "no entry" for source in sources):
            raise RuntimeError("cannot come in")
        first = self.tickets
        self.tickets += len(sources)
        self.rows.update({first + i: [s, len(s.text)] for i, s in enumerate(sources)})
        return list(range(first, self.tickets))

    def step(self) -> list[tuple[int, Any]]:
        self.steps += 1
        if any(row[0].text == "poison" for row in self.rows.values()):
            raise RuntimeError("poisoned")
        for row in self.rows.values():
            row[1] -= 1
        done = {ticket: row for ticket, row in self.rows.items() if not row[1]}
        for ticket in done:
            del self.rows[ticket]
        return [(ticket, self.row(row[0])) for ticket, row in done.items()]

    def evict(self, ticket: int) -> None:
        del self.rows[ticket]

    def clear(self) -> None:
        self.rows.clear()


class Runner:
    """Opens the loop, and knows what is too long."""

    def __init__(self, loop: SteppedLoop) -> None:
        self._loop = loop

    def open_decoder(self) -> SteppedLoop:
        return self._loop

    open_reading = open_decoder

    def check(self, features: Any) -> None:
        if features.text == "too long":
            raise InvalidInput("Too long.")


def run(stream: Any, *parts: Any) -> list[Any]:
    """The answers in order of the parts."""
    tickets = stream.admit(parts)
    found: dict[int, Any] = {}
    while len(found) < sum(isinstance(ticket, int) for ticket in tickets):
        found.update(stream.step())
    return [found[ticket] if isinstance(ticket, int) else ticket for ticket in tickets]

"""A refusal that stands is given again without asking the door."""

from math import inf
from typing import Any, Self, cast

import pytest

from service.errors import Overloaded
from service.http.edge import Edge
from service.http.exchange import Asked
from service.http.routes import DirectRoute
from service.http.turning_away import Refused, TurnedAway

SOON = Asked(b"", "interactive", 0.5)
LATER = Asked(b"", "interactive", inf)


class Front:
    """A door that refuses while it is `closed`, and a refusal that `stands`; who was asked what."""

    def __init__(self) -> None:
        self.closed = self.stands = True
        self.asked: list[tuple[Asked, bytes | None]] = []
        self.again: list[bytes] = []

    def door(self, asked: Asked, body: bytes | None) -> Refused | None:
        self.asked.append((asked, body))
        number = f"refusal {len(self.asked)}"
        return Refused(Overloaded(number, 1.0), "cats", "1", self._again) if self.closed else None

    @property
    def turning_away(self) -> Self:
        return self

    def by(self, refused: Refused, *how: Any) -> TurnedAway:
        return cast(TurnedAway, str(refused.error))

    def _again(self, body: bytes) -> bool:
        self.again.append(body)
        return self.stands


@pytest.fixture
def front() -> Front:
    return Front()


@pytest.fixture
def route(front: Front) -> DirectRoute:
    async def endpoint(exchange: object) -> None:
        raise AssertionError("nobody comes in")

    return DirectRoute(cast(Edge, front), "/wait", b"/wait", endpoint, front.door)


def test_who_asks_the_same_is_not_taken_to_the_door(front: Front, route: DirectRoute) -> None:
    told = [str(route.turn_away(SOON, body)) for body in (b"one", b"two", b"three")]
    assert front.asked == [(SOON, b"one")]
    assert front.again == [b"two", b"three"]
    assert told == ["refusal 1"] * 3


def test_who_asks_for_something_else_is(front: Front, route: DirectRoute) -> None:
    told = [str(route.turn_away(asked, b"")) for asked in (SOON, LATER)]
    assert front.asked == [(SOON, b""), (LATER, b"")]
    assert front.again == []
    assert told == ["refusal 1", "refusal 2"]


def test_once_it_stands_no_more_the_door_is_asked(front: Front, route: DirectRoute) -> None:
    assert str(route.turn_away(SOON, b"one")) == "refusal 1"
    front.stands = False
    assert str(route.turn_away(SOON, b"two")) == "refusal 2"
    front.closed = False
    assert route.turn_away(SOON, b"three") is None
    assert route.standing is None  # which would keep a model that is gone

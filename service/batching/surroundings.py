"""What a batcher may be given besides its model and its rules."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from service.batching.cost import LatencyModel
from service.batching.pace import StreamPace
from service.batching.sharing import Sharing

Turn = Callable[[], AbstractContextManager[None]]
TurnNow = Callable[[], AbstractContextManager[None] | None]


def no_turn() -> AbstractContextManager[None]:
    """For a model that shares its cores with nobody."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Defaults for a model that is alone in the world.

    `latency` and `pace` (of a `Streaming` model) may have learnt from a warm-up; `turn` is held
    while a worker works, and `turn_now` is the same, or None where it would have to be waited for;
    `is_quick` tells the parts that may be prepared on the event loop; `sharing` lets identical
    parts share one item; `chance` tells numbers in 0..1.
    """

    latency: LatencyModel = field(default_factory=LatencyModel)
    pace: StreamPace = field(default_factory=StreamPace)
    turn: Turn = no_turn
    turn_now: TurnNow = no_turn
    is_quick: Callable[[Any], bool] | None = None
    sharing: Sharing[Any] | None = None
    chance: Callable[[], float] = random.random

"""Runs a batch so that one bad item never costs its neighbours their answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from service.errors import (
    Cancelled,
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    PayloadTooLarge,
    ServiceError,
    UnsupportedMedia,
)
from service.metrics import ItemOutcome

P = TypeVar("P")
R = TypeVar("R")

RunBatch = Callable[[list[P]], Sequence[R | Exception]]


class Stop(Protocol):
    """Ends a run from another thread; the run then raises Cancelled."""

    def set(self) -> None:
        """End the run as soon as it can, and every later run with it at once."""
        ...


@dataclass(frozen=True, slots=True)
class Stoppable(Generic[P, R]):
    """A model whose runs can be stopped: each run is given a `new_stop()` of its own."""

    run: Callable[[list[P], Any], Sequence[R | Exception]]
    new_stop: Callable[[], Stop]

    def unstopped(self) -> RunBatch[P, R]:
        """The model for runs that nobody is there to stop."""
        never = self.new_stop()
        return lambda parts: self.run(parts, never)


log = logging.getLogger("slipway.batching")

BROKEN = "The model failed on this item; the server's log has the cause. Sending it again may help."
LATE = "There was no answer before the deadline; allow more time, or send less at once."


def answer_each(
    run_batch: RunBatch[P, R], parts: list[P], still_wanted: Callable[[int], bool]
) -> list[R | Exception]:
    """One answer or one error for each part, in order; raises nothing that is an `Exception`.

    A batch that fails as a whole is run again part by part, once. `still_wanted(place)` is asked
    before each of those runs.
    """
    try:
        return _run(run_batch, parts)
    except Cancelled as error:  # stopped: nobody waits for any of them
        return [error for _ in parts]
    except Exception as error:
        if len(parts) == 1:
            return [shown(error)]
        log.warning("a batch of %d failed and is tried item by item", len(parts), exc_info=error)
    return [
        _run_alone(run_batch, part) if still_wanted(place) else DeadlineExceeded(LATE)
        for place, part in enumerate(parts)
    ]


def outcome_of(error: Exception) -> ItemOutcome:
    """Under which outcome an item with this error is counted."""
    if isinstance(error, InvalidInput | UnsupportedMedia | PayloadTooLarge):
        return "client_error"
    return "expired" if isinstance(error, DeadlineExceeded) else "failed"


def _run_alone(run_batch: RunBatch[P, R], part: P) -> R | Exception:
    try:
        return _run(run_batch, [part])[0]
    except Exception as error:
        return shown(error)


def _run(run_batch: RunBatch[P, R], parts: list[P]) -> list[R | Exception]:
    answers = run_batch(parts)
    if len(answers) != len(parts):
        raise RuntimeError(f"{len(parts)} items went in, {len(answers)} answers came out")
    return [shown(a) if isinstance(a, Exception) else a for a in answers]


def shown(error: Exception) -> ServiceError:
    """The error as the client may see it; what else there is to know goes to the log."""
    if isinstance(error, ServiceError):
        return error
    log.error("the model failed on an item", exc_info=error)
    return InferenceFailed(BROKEN)

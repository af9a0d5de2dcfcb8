"""The life of one item, top to bottom: split, queue, batch, join. Knows no HTTP and no tensor."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

from service.errors import ServiceError
from service.repository.live import LiveModel
from service.tasks.base import TranslationText

# Splitting so many characters into sentences takes about a millisecond of the event loop.
SPLIT_ON_LOOP_CHARACTERS = 4000


async def predict(live: LiveModel, items: Sequence[Any], timeout_s: float) -> list[Any]:
    """One prediction an item, in order; either all of them or the first error.

    Raises InvalidInput (which tells the item), Overloaded, DeadlineExceeded, NotReady and
    InferenceFailed. Cancelling the call takes back what still waits in the queue.
    """
    deadline_s = time.monotonic() + timeout_s
    split = await _split_elsewhere(live, items) if _is_long(items) else _split(live, items)
    parts = [part for parts in split for part in parts]
    answers = await live.batcher.submit_each(
        parts, costs=[live.task.cost(part) for part in parts], deadline=deadline_s
    )
    following = iter(answers)
    return [
        live.task.join(item, [_good(next(following), place, len(items)) for _ in parts])
        for place, (item, parts) in enumerate(zip(items, split, strict=True))
    ]


def _split(live: LiveModel, items: Sequence[Any]) -> list[Sequence[Any]]:
    return list(_split_each(live, items))


async def _split_elsewhere(live: LiveModel, items: Sequence[Any]) -> list[Sequence[Any]]:
    return await asyncio.to_thread(_split, live, items)


def _split_each(live: LiveModel, items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for place, item in enumerate(items):
        try:
            yield live.task.split(item)
        except ServiceError as error:
            raise _placed(error, place, len(items)) from error


def _is_long(items: Sequence[Any]) -> bool:
    characters = sum(len(item.text) for item in items if isinstance(item, TranslationText))
    return characters > SPLIT_ON_LOOP_CHARACTERS


def _good(answer: Any, place: int, count: int) -> Any:
    if isinstance(answer, ServiceError):
        raise _placed(answer, place, count)
    return answer


def _placed(error: ServiceError, place: int, count: int) -> ServiceError:
    """The error, with the item that it is about where there are several."""
    if count == 1:
        return error
    return type(error)(f"Item {place} (counted from 0): {error.detail}")

"""The life of one item, top to bottom: split, queue, batch, join. Knows no HTTP and no tensor."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from service.batching.policy import Priority
from service.errors import PayloadTooLarge, ServiceError
from service.repository.live import ServedModel
from service.tasks.base import TranslationText

# Splitting more than this into sentences and joining them again would hold up the event loop.
ON_LOOP_CHARACTERS = 4000


Progress = Callable[[int, str], None]


async def predict(
    live: ServedModel,
    items: Sequence[Any],
    timeout_s: float,
    *,
    priority: Priority = "interactive",
    on_progress: Progress | None = None,
) -> list[Any]:
    """One prediction an item, in order; either all of them or the first error.

    `on_progress` hears, with the place of a text that is being translated, what of its translation
    is known so far. Raises InvalidInput (which tells the item), PayloadTooLarge (more parts than
    one call may have), Overloaded, DeadlineExceeded, NotReady and InferenceFailed. Cancelling the
    call takes back what still waits in the queue, and what runs where it can be stopped.
    """
    deadline_s = time.monotonic() + timeout_s
    is_long = _is_long(items)
    split = await asyncio.to_thread(_split, live, items) if is_long else _split(live, items)
    parts = [part for of_item in split for part in of_item]
    counts = [len(of_item) for of_item in split]
    answers = await live.batcher.submit_each(
        parts,
        costs=[live.task.cost(part) for part in parts],
        deadline=deadline_s,
        priority=priority,
        on_progress=Growing(counts, on_progress) if on_progress is not None else None,
    )
    if is_long:
        return await asyncio.to_thread(_join, live, items, counts, answers)
    return _join(live, items, counts, answers)


class Growing:
    """Tells how far each text is: all of its parts up to the first that is not complete.

    A listener is told all of the text that is known, so it is told again when that has grown by a
    sixteenth: all that it hears is then no more than some seventeen times the text.
    """

    def __init__(self, counts: Sequence[int], listener: Progress) -> None:
        self._listener = listener
        self._places = [(item, part) for item, n in enumerate(counts) for part in range(n)]
        self._texts = [_Text([""] * count, [False] * count) for count in counts]

    def __call__(self, number: int, known: Any) -> None:
        """The part of this number has its answer, or is known so far."""
        if isinstance(known, Exception):
            return  # the call ends with it
        item, part = self._places[number]
        text = self._texts[item]
        if isinstance(known, str):
            text.known[part] = known
        else:
            text.known[part], text.complete[part] = known.text, True
        if text.has_grown():
            self._listener(item, text.tell())


@dataclass(slots=True)
class _Text:
    """What is known of the parts of one text, and how much of it was told, in characters."""

    known: list[str]
    complete: list[bool]
    first_open: int = 0
    before_it: int = 0
    told: int = 0

    def has_grown(self) -> bool:
        """Whether there is so much more that it is worth telling."""
        count = len(self.known)
        while self.first_open < count and self.complete[self.first_open]:
            self.before_it += len(self.known[self.first_open])
            self.first_open += 1
        if self.first_open == count:
            return self.before_it > self.told
        grown = self.before_it + len(self.known[self.first_open]) - self.told
        return grown >= max(1, self.told // 16)

    def tell(self) -> str:
        """All of it."""
        text = "".join(self.known[: self.first_open + 1])
        self.told = len(text)
        return text


def _split(live: ServedModel, items: Sequence[Any]) -> list[Sequence[Any]]:
    """The parts of each item; no further than to the item with which they are too many."""
    split: list[Sequence[Any]] = []
    count, most = 0, live.batcher.most_parts
    for place, item in enumerate(items):
        try:
            split.append(live.task.split(item))
        except ServiceError as error:
            raise _placed(error, place, len(items)) from error
        count += len(split[-1])
        if count > most:
            raise PayloadTooLarge(_too_many(items[: place + 1], len(items), count, most))
    return split


def _too_many(read: Sequence[Any], sent: int, count: int, most: int) -> str:
    """Why a call with so many items is refused, of which those that were `read` have `count`
    parts."""
    parts = "sentences" if isinstance(read[0], TranslationText) else "parts"
    what = "The item has" if sent == 1 else f"The first {len(read)} of {sent} items have"
    if len(read) == sent > 1:
        what = f"The {sent} items have"
    return f"{what} {count} {parts} and one request may have {most}; send it in pieces."


def _join(
    live: ServedModel, items: Sequence[Any], counts: Sequence[int], answers: Sequence[Any]
) -> list[Any]:
    """The prediction of each item from the answers of its `counts` parts, or the first error."""
    following = iter(answers)
    return [
        live.task.join(item, [_good(next(following), place, len(items)) for _ in range(count)])
        for place, (item, count) in enumerate(zip(items, counts, strict=True))
    ]


def _is_long(items: Sequence[Any]) -> bool:
    characters = sum(len(item.text) for item in items if isinstance(item, TranslationText))
    return characters > ON_LOOP_CHARACTERS


def _good(answer: Any, place: int, count: int) -> Any:
    if isinstance(answer, ServiceError):
        raise _placed(answer, place, count)
    return answer


def _placed(error: ServiceError, place: int, count: int) -> ServiceError:
    """The error, with the item that it is about where there are several."""
    if count == 1:
        return error
    return type(error)(f"Item {place} (counted from 0): {error.detail}")

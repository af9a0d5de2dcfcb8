"""From items to parts, and back from their answers; how far a growing text is."""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.errors import InferenceFailed, InvalidInput, PayloadTooLarge, ServiceError
from service.predictor import ON_LOOP_CHARACTERS, Growing, predict
from service.repository.live import LiveModel
from service.tasks.base import TranslationText

pytestmark = pytest.mark.anyio


@dataclass
class Task:
    """Words are parts; the longer a word, the dearer it is."""

    threads: set[str] = field(default_factory=set)

    def split(self, raw: Any) -> list[str]:
        self.threads.add(f"split in {threading.current_thread() is threading.main_thread()}")
        text = raw.text if isinstance(raw, TranslationText) else raw
        if text == "unreadable":
            raise InvalidInput("Send something else.")
        return cast("list[str]", text.split())

    def cost(self, part: str) -> int:
        return len(part)

    def join(self, raw: Any, predictions: Sequence[str]) -> str:
        self.threads.add(f"join in {threading.current_thread() is threading.main_thread()}")
        return "-".join(predictions)


class Batcher:
    """Answers in capitals, or with the error that a part stands for."""

    def __init__(self, most_parts: int = 1024, **errors: ServiceError) -> None:
        self.calls: list[dict[str, Any]] = []
        self.most_parts = most_parts
        self._errors = errors

    async def submit_each(self, parts: Sequence[str], **how: Any) -> list[Any]:
        self.calls.append({"parts": list(parts)} | how)
        return [self._errors.get(part, part.upper()) for part in parts]


def live_with(task: Task, batcher: Batcher) -> LiveModel:
    return cast("LiveModel", SimpleNamespace(task=task, batcher=batcher))


async def test_items_become_parts_and_their_answers_items_again() -> None:
    batcher = Batcher()
    answers = await predict(live_with(Task(), batcher), ["one two", "", "three"], 5.0)
    assert answers == ["ONE-TWO", "", "THREE"]
    (call,) = batcher.calls
    assert call["parts"] == ["one", "two", "three"]
    assert call["costs"] == [3, 3, 5]


async def test_the_deadline_begins_when_the_request_came() -> None:
    batcher = Batcher()
    before_s = time.monotonic()
    await predict(live_with(Task(), batcher), ["one"], 5.0)
    assert before_s + 5.0 <= batcher.calls[0]["deadline"] <= time.monotonic() + 5.0


async def test_the_priority_is_handed_on_and_interactive_unless_said() -> None:
    batcher = Batcher()
    live = live_with(Task(), batcher)
    await predict(live, ["one"], 5.0)
    await predict(live, ["one"], 5.0, priority="bulk")
    assert [call["priority"] for call in batcher.calls] == ["interactive", "bulk"]
    assert [call["on_progress"] for call in batcher.calls] == [None, None]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["fine", "also broken"], r"Item 1 \(counted from 0\): gone"),
        (["broken"], "^gone$"),
        (["fine", "fine", "unreadable"], r"Item 2 \(counted from 0\): Send something else"),
        (["unreadable"], "^Send something else"),
    ],
)
async def test_an_error_tells_its_item_where_there_are_several(
    items: list[str], message: str
) -> None:
    live = live_with(Task(), Batcher(broken=InferenceFailed("gone")))
    with pytest.raises((InferenceFailed, InvalidInput), match=message):
        await predict(live, items, 5.0)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["a b c d"], "^The item has 4 parts and one request may have 3; send it in pieces"),
        (["a b", "c d"], "^The 2 items have 4 parts and one request may have 3"),
        (["a b", "c d", "e", "unreadable"], "^The first 2 of 4 items have 4 parts and one request"),
        ([TranslationText("a b c d e")], "^The item has 5 sentences and one request may have 3"),
    ],
)
async def test_what_has_too_many_parts_is_refused_before_the_rest_is_cut(
    items: list[Any], message: str
) -> None:
    batcher = Batcher(most_parts=3)
    with pytest.raises(PayloadTooLarge, match=message):
        await predict(live_with(Task(), batcher), items, 5.0)
    assert batcher.calls == []


async def test_as_many_parts_as_may_be_are_let_in() -> None:
    assert await predict(live_with(Task(), Batcher(most_parts=3)), ["a b", "c"], 5.0) == [
        "A-B",
        "C",
    ]


@pytest.mark.parametrize(("characters", "where"), [(4000, True), (4001, False)])
async def test_a_long_text_is_cut_and_joined_beside_the_event_loop(
    characters: int, where: bool
) -> None:
    task = Task()
    half = TranslationText("a" * (ON_LOOP_CHARACTERS // 2))
    rest = TranslationText("b" * (characters - ON_LOOP_CHARACTERS // 2))
    answers = await predict(live_with(task, Batcher()), [half, rest], 5.0)
    assert [len(answer) for answer in answers] == [2000, characters - 2000]
    assert task.threads == {f"split in {where}", f"join in {where}"}


@dataclass
class Answer:
    """What a part that is complete has."""

    text: str


def growing(*counts: int) -> tuple[Growing, list[tuple[int, str]]]:
    told: list[tuple[int, str]] = []
    return Growing(counts, lambda item, text: told.append((item, text))), told


def test_a_text_grows_part_by_part() -> None:
    hears, told = growing(2)
    hears(0, "Ein")
    hears(0, "Ein Hund")
    hears(0, Answer("Ein Hund. "))
    hears(1, "Er")
    hears(1, Answer("Er läuft."))
    assert [text for _, text in told] == [
        "Ein",
        "Ein Hund",
        "Ein Hund. ",
        "Ein Hund. Er",
        "Ein Hund. Er läuft.",
    ]


def test_what_follows_a_gap_is_told_when_the_gap_is_closed() -> None:
    hears, told = growing(3)
    hears(2, Answer("three"))
    hears(1, "tw")
    assert told == []
    hears(0, Answer("one "))
    assert told == [(0, "one tw")]
    hears(1, Answer("two "))
    assert told[1:] == [(0, "one two three")]


def test_each_text_grows_by_itself() -> None:
    hears, told = growing(1, 0, 2)
    hears(1, Answer("b"))
    hears(0, "a")
    hears(2, Answer("c"))
    assert told == [(2, "b"), (0, "a"), (2, "bc")]


def test_what_did_not_change_is_not_told_again() -> None:
    hears, told = growing(1)
    hears(0, "")
    hears(0, "same")
    hears(0, "same")
    hears(0, Answer("same"))
    assert told == [(0, "same")]


def test_a_long_text_is_told_as_a_sum_that_grows_as_it_does() -> None:
    words = [f"word{number} " for number in range(3000)]
    hears, told = growing(len(words))
    for number, word in enumerate(words):
        hears(number, word[:3])
        hears(number, Answer(word))
    whole = "".join(words)
    assert told[-1] == (0, whole)
    assert len(whole) * 10 < sum(len(text) for _, text in told) < len(whole) * 18


def test_an_error_is_told_by_the_call_itself() -> None:
    hears, told = growing(1)
    hears(0, InferenceFailed("gone"))
    assert told == []


async def test_who_listens_hears_of_items_and_not_of_parts() -> None:
    told: list[tuple[int, str]] = []

    class Telling(Batcher):
        async def submit_each(self, parts: Sequence[str], **how: Any) -> list[Any]:
            how["on_progress"](2, "th")
            await asyncio.sleep(0)
            return await super().submit_each(parts, **how)

    await predict(
        live_with(Task(), Telling()),
        ["one two", "three"],
        5.0,
        on_progress=lambda item, text: told.append((item, text)),
    )
    assert told == [(1, "th")]

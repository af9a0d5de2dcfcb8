"""Who is refused before a body is parsed: only those whom the model they mean would refuse."""

from math import inf
from types import SimpleNamespace
from typing import Any, cast

import pytest

from model_zoo.manifest import Task
from service.errors import Overloaded, ServiceError
from service.http.exchange import Asked
from service.http.native import ItemLimits, NativeApi
from service.http.schemas import ON_LOOP_BYTES
from service.repository.models import Models
from service.tasks.base import TranslationText

FULL = Overloaded("Full.", 7.0)


class Feeling:
    """An item costs as much as its text is long."""

    def least_cost(self, raw: str) -> int:
        return len(raw)


class Translating:
    def least_cost(self, raw: TranslationText) -> int:
        return len(raw.text)


TASKS = {"text-classification": Feeling(), "translation": Translating()}


def busy_model(name: str, task: Task) -> Any:
    batcher = SimpleNamespace(refusal=lambda priority, spare_s, weigh: FULL)
    return SimpleNamespace(name=name, version="1", batcher=batcher, task=TASKS.get(task))


def refused(task: Task, body: bytes | None, *, names: tuple[str, ...], query: bytes = b"") -> bool:
    """Whether the door refuses, where these models are live and full; the first is the default."""
    live = [busy_model(name, task) for name in names]
    models = SimpleNamespace(
        only=lambda task: live[0] if len(live) == 1 else None, default=lambda task: live[0]
    )
    api = NativeApi(cast(Models, models), limits=ItemLimits(), timeout_s=30.0)
    found = api.door(task)(Asked(query, "interactive", inf), body)
    assert found is None or found[:3] == (FULL, live[0].name, "1")
    return found is not None


@pytest.mark.parametrize("names", [("one",), ("one", "other")])
def test_a_text_alone_means_the_default_model(names: tuple[str, ...]) -> None:
    assert refused("translation", b'{"text": "Hello."}', names=names)
    assert refused("text-classification", b'{"text": "Fine."}', names=names)


@pytest.mark.parametrize(
    "body",
    [
        b'{"text": "Hallo.", "source": "de"}',
        b'{"text": "Hallo.", "target": "en"}',
        b'{"text": "Hello.", "model": "other"}',
        b'{"text": "Hello.", "version": 2}',
        b'{"text": "Hello.", "\\u006dodel": "other"}',
        None,
    ],
)
def test_where_there_are_several_a_body_that_may_choose_is_read(body: bytes | None) -> None:
    assert not refused("translation", body, names=("one", "other"))
    assert refused("translation", body, names=("one",))


def test_a_query_may_choose_too() -> None:
    text = b'{"text": "Hello."}'
    assert not refused("translation", text, names=("one", "other"), query=b"model=other")


def test_of_several_for_images_a_form_may_name_any() -> None:
    assert not refused("image-classification", b"\xff\xd8", names=("one", "other"))
    assert refused("image-classification", b"\xff\xd8", names=("one",))


@pytest.mark.parametrize(("asked_s", "spare_s"), [(inf, 30.0), (60.0, 30.0), (0.5, 0.5)])
def test_nobody_waits_longer_than_the_server_does(asked_s: float, spare_s: float) -> None:
    assert asked_of_the_model("translation", b"", asked_s) == ("bulk", spare_s, 1)


def asked_of_the_model(task: Task, body: bytes | None, asked_s: float = 1.0) -> tuple[Any, ...]:
    asked: list[tuple[Any, ...]] = []
    batcher = SimpleNamespace(
        refusal=lambda priority, spare_s, weigh: asked.append((priority, spare_s, weigh()))
    )
    live = SimpleNamespace(name="one", version="1", batcher=batcher, task=TASKS.get(task))
    models = cast(Models, SimpleNamespace(only=lambda task: live))
    door = NativeApi(models, limits=ItemLimits(), timeout_s=30.0).door(task)
    assert door(Asked(b"", "bulk", asked_s), body) is None
    (found,) = asked
    return found


@pytest.mark.parametrize("task", ["text-classification", "translation"])
def test_a_text_alone_is_weighed_without_being_parsed(task: Task) -> None:
    assert asked_of_the_model(task, b'{"text": "Gr\xc3\xbc\xc3\x9fe"}') == ("bulk", 1.0, 5)
    for parsed in (b'{"text": ["one", "two"]}', b'{"text": "a\\nb"}', None, b"nothing"):
        assert asked_of_the_model(task, parsed) == ("bulk", 1.0, 1)


def test_a_long_body_is_not_even_looked_at() -> None:
    def body(size: int) -> bytes:
        return b'{"text":"%b"}' % (b"x" * (size - 11))

    assert asked_of_the_model("translation", body(ON_LOOP_BYTES))[2] == ON_LOOP_BYTES - 11
    assert asked_of_the_model("translation", body(ON_LOOP_BYTES + 1))[2] == 1


def test_images_are_not_taken_for_texts() -> None:
    assert asked_of_the_model("image-classification", b'{"text": "Hello."}')[2] == 1


def test_who_asks_the_same_again_is_told_the_same_where_the_model_is_the_same() -> None:
    def refuses_again(error: ServiceError) -> bool:
        told.append(error)
        return stands

    told: list[ServiceError] = []
    one = busy_model("one", "translation")
    one.batcher.refuses_again = refuses_again
    live = [one, busy_model("other", "translation")]
    models = SimpleNamespace(
        only=lambda task: live[0] if len(live) == 1 else None, default=lambda task: live[0]
    )
    door = NativeApi(cast(Models, models), limits=ItemLimits(), timeout_s=30.0).door("translation")
    found = door(Asked(b"", "interactive", inf), b'{"text": "Hello."}')
    assert found is not None

    stands = True
    assert found.again(b'{"text": "Good bye."}')
    assert not found.again(b'{"text": "Hello.", "model": "other"}')
    stands = False
    assert not found.again(b'{"text": "Good bye."}')
    assert told == [FULL, FULL]
    live.reverse()
    assert not found.again(b'{"text": "Good bye."}')
    assert told == [FULL, FULL]

"""Who is refused before a body is parsed: only those whom the model they mean would refuse."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from model_zoo.manifest import Task
from service.errors import Overloaded
from service.http.exchange import Exchange
from service.http.native import ItemLimits, NativeApi
from service.repository.models import Models

FULL = Overloaded("Full.", 7.0)


class Asked:
    """As much of an exchange as the door looks at; its body is here."""

    def __init__(self, body: bytes, query: bytes = b"") -> None:
        self.query_string, self.body = query, body
        self.model = self.version = ""

    def may_say(self, words: tuple[bytes, ...]) -> bool:
        return any(word in self.body for word in words)

    def priority(self) -> str:
        return "interactive"

    def timeout_s(self, most: float) -> float:
        return most


def busy_model(name: str) -> Any:
    batcher = SimpleNamespace(refusal=lambda priority, spare_s: FULL)
    return SimpleNamespace(name=name, version="1", batcher=batcher)


def refused(task: Task, asked: Asked, *, names: tuple[str, ...]) -> bool:
    """Whether the door refuses, where these models are live and full; the first is the default."""
    live = [busy_model(name) for name in names]
    models = SimpleNamespace(
        only=lambda task: live[0] if len(live) == 1 else None, default=lambda task: live[0]
    )
    api = NativeApi(cast(Models, models), limits=ItemLimits(), timeout_s=30.0)
    found = api.door(task)(cast(Exchange, asked))
    assert found in (None, FULL)
    assert asked.model == (live[0].name if found else "")
    return found is FULL


@pytest.mark.parametrize("names", [("one",), ("one", "other")])
def test_a_text_alone_means_the_default_model(names: tuple[str, ...]) -> None:
    assert refused("translation", Asked(b'{"text": "Hello."}'), names=names)
    assert refused("text-classification", Asked(b'{"text": "Fine."}'), names=names)


@pytest.mark.parametrize(
    "body",
    [
        b'{"text": "Hallo.", "source": "de"}',
        b'{"text": "Hallo.", "target": "en"}',
        b'{"text": "Hello.", "model": "other"}',
        b'{"text": "Hello.", "version": 2}',
        b'{"text": "Hello.", "\\u006dodel": "other"}',
    ],
)
def test_where_there_are_several_a_body_that_may_choose_is_read(body: bytes) -> None:
    assert not refused("translation", Asked(body), names=("one", "other"))
    assert refused("translation", Asked(body), names=("one",))


def test_a_query_may_choose_too() -> None:
    asked = Asked(b'{"text": "Hello."}', query=b"model=other")
    assert not refused("translation", asked, names=("one", "other"))


def test_of_several_for_images_a_form_may_name_any() -> None:
    assert not refused("image-classification", Asked(b"\xff\xd8"), names=("one", "other"))
    assert refused("image-classification", Asked(b"\xff\xd8"), names=("one",))

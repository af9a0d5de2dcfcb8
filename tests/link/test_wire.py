"""What crosses the link is the same on the other side."""

import orjson
import pytest

from model_zoo.catalog import Catalog
from model_zoo.manifest import Manifest
from service.errors import (
    Cancelled,
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    ServiceError,
    UnknownModel,
    UnsupportedMedia,
)
from service.link.frames import Payload
from service.link.front import EngineAway
from service.link.wire import (
    pack_answer,
    pack_error,
    pack_part,
    unpack_answer,
    unpack_error,
    unpack_part,
)
from service.tasks.base import Pixels, Sentence
from service.tasks.image_classification import ImagePrediction
from service.tasks.sentiment import SentimentPrediction
from service.tasks.translation import TranslationPrediction
from tests import tiny_zoo

PARTS = [
    Pixels(bytes(range(48))),
    "a text, größer als ASCII",
    "half of a character: \ud83d",
    "",
    Sentence("Ein Satz.", 4, "  ", "\n"),
]


@pytest.mark.parametrize("part", PARTS)
def test_parts(part: object) -> None:
    told, payload = pack_part(part)  # type: ignore[arg-type]
    assert unpack_part(orjson.loads(orjson.dumps(told)), Payload(payload, 0)) == part


def test_parts_of_one_message_take_their_bytes_one_after_the_other() -> None:
    packed = [pack_part(part) for part in PARTS]  # type: ignore[arg-type]
    payload = Payload(b"".join(found for _, found in packed), 0)
    assert [unpack_part(told, payload) for told, _ in packed] == PARTS


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    catalog: Catalog = tiny_zoo.build(tmp_path_factory.mktemp("zoo"))
    return {ref.name: catalog.open(ref.name, ref.version).manifest for ref in catalog.list()}


def crossed(answer: object, manifest: Manifest) -> object:
    return unpack_answer(orjson.loads(orjson.dumps(pack_answer(answer))), manifest)


@pytest.mark.parametrize("uncertain", [True, False, None])
def test_answers_about_images(manifests: dict[str, Manifest], uncertain: bool | None) -> None:
    chances = [0.1, 2 / 3, 0.7 / 3]
    labels = tiny_zoo.LABELS
    found = crossed(
        ImagePrediction("green", 2 / 3, labels, chances, uncertain), manifests[tiny_zoo.IMAGES]
    )
    assert isinstance(found, ImagePrediction)
    assert (found.label, found.score, found.labels) == ("green", 2 / 3, labels)
    assert list(found.probabilities) == chances
    assert found.uncertain is uncertain


def test_answers_about_texts(manifests: dict[str, Manifest]) -> None:
    answer = SentimentPrediction(
        "negative", 0.75, {"negative": 0.75, "positive": 0.25}, truncated=True, uncertain=False
    )
    assert crossed(answer, manifests[tiny_zoo.TEXTS]) == answer


@pytest.mark.parametrize("quality", [0.5, None])
def test_translations(manifests: dict[str, Manifest], quality: float | None) -> None:
    answer = TranslationPrediction("Hund", "en", "de", -0.25, False, 3, quality)
    assert crossed(answer, manifests[tiny_zoo.TRANSLATOR]) == answer


def test_a_text_that_is_not_complete(manifests: dict[str, Manifest]) -> None:
    assert crossed("Ein H", manifests[tiny_zoo.TRANSLATOR]) == "Ein H"


ERRORS = [
    InvalidInput("a"),
    UnsupportedMedia("b"),
    PayloadTooLarge("c"),
    UnknownModel("d"),
    DeadlineExceeded("e"),
    NotReady("f"),
    Cancelled("g"),
    InferenceFailed("h"),
]


@pytest.mark.parametrize("error", ERRORS)
def test_errors(error: ServiceError, manifests: dict[str, Manifest]) -> None:
    found = crossed(error, manifests[tiny_zoo.TEXTS])
    assert type(found) is type(error)
    assert isinstance(found, ServiceError)
    assert found.detail == error.detail


def test_a_refusal_tells_when_to_come_back() -> None:
    found = unpack_error(orjson.loads(orjson.dumps(pack_error(Overloaded("later", 2.5)))))
    assert isinstance(found, Overloaded)
    assert (found.detail, found.retry_after_s) == ("later", 2.5)


def test_a_kind_that_is_none_of_the_tree_crosses_as_its_parent() -> None:
    found = unpack_error(pack_error(EngineAway("gone")))
    assert type(found) is NotReady
    assert found.detail == "gone"


def test_nothing_is_told_of_a_mistake() -> None:
    found = unpack_error(pack_error(KeyError("/secret/path")))
    assert isinstance(found, InferenceFailed)
    assert "secret" not in found.detail

"""The models that come with Slipway, started and asked as the README says."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from model_zoo.catalog import Catalog
from tests.e2e.conftest import Server, running

pytestmark = pytest.mark.e2e

REVIEW = (
    "the first half is slow and a little dull but then what a film so tender and funny that i "
    "forgave it everything although my neighbour slept through the end and said it was too long"
)
PUBLISHED = {ref.name for ref in Catalog().list()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not PUBLISHED:
        pytest.skip("nothing is published in model_zoo/")
    as_usual = ("--workers", "0")
    with running(tmp_path_factory.mktemp("published") / "home", *as_usual) as server:
        yield server


def of(server: Server, task: str) -> str:
    models = server.client.get("/v1/models").json()["models"]
    names = [model["name"] for model in models if model["task"] == task and model["default"]]
    if not names:
        pytest.skip(f"no model for {task} is published")
    return str(names[0])


def test_every_published_model_is_live(server: Server) -> None:
    listed = server.client.get("/v1/models").json()
    assert {model["name"] for model in listed["models"]} == PUBLISHED
    assert listed["broken"] == []


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("An absolute masterpiece, I loved every minute of it.", "positive"),
        ("A dull, lifeless and utterly boring waste of time.", "negative"),
    ],
)
def test_a_clear_opinion_is_understood(server: Server, text: str, label: str) -> None:
    model = of(server, "text-classification")
    answer = server.client.post("/v1/sentiment", json={"text": text})
    assert answer.json()["model"] == model
    assert answer.json()["results"][0]["label"] == label


def test_reviews_of_any_length_have_the_scores_that_they_have_alone(server: Server) -> None:
    of(server, "text-classification")
    words = REVIEW.split()
    texts = [" ".join(words[n % 5 : n % 5 + 1 + n * 7 % 30] * (1 + n % 4)) for n in range(60)]

    def score(text: str) -> float:
        (result,) = server.client.post("/v1/sentiment", json={"text": text}).json()["results"]
        found: float = result["scores"]["positive"]
        return found

    alone = [score(text) for text in texts]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(score, texts))
    assert together == pytest.approx(alone, abs=1e-5)
    assert max(alone) - min(alone) > 0.2


def test_a_plain_sentence_is_translated(server: Server) -> None:
    of(server, "translation")
    answer = server.client.post("/v1/translate", json={"text": "A dog runs across the street."})
    (result,) = answer.json()["results"]
    assert "Hund" in result["text"]
    assert result["truncated"] is False


def test_german_is_translated_back_where_that_is_asked_for(server: Server) -> None:
    models = server.client.get("/v1/models").json()["models"]
    if not any(model["preprocessing"].get("source") == "de" for model in models):
        pytest.skip("no model that reads German is published")
    asked = {"text": "Ein Hund rennt über die Straße.", "source": "de", "target": "en"}
    (result,) = server.client.post("/v1/translate", json=asked).json()["results"]
    assert "dog" in result["text"]
    assert (result["source"], result["target"]) == ("de", "en")

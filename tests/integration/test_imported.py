"""A folder that Optimum exported, from the command that imports it to the answers over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import orjson
import pytest
from prometheus_client import CollectorRegistry

from model_zoo.catalog import Catalog
from service.cli import main
from service.metrics import Metrics
from service.repository.lifecycle import Lifecycle
from service.repository.loading import load_all
from service.repository.models import Models
from service.repository.options import LoadOptions
from service.tasks.text import TextTokenizer
from tests.integration.conftest import make_app
from tests.optimum_export import write_folder
from tests.runtime.reference_decoder import ReferenceDecoder
from tests.runtime.tiny_optimum import LAYOUTS
from tests.runtime.tiny_transformer import EOS, VOCABULARY, Weights
from tests.tiny_zoo import letter_tokenizer

pytestmark = pytest.mark.anyio

WORDS = "a dog runs over the long road while two men talk about bread and rain".split()  # noqa: SIM905
TEXTS = [" ".join(WORDS[i % 7 : i % 7 + 1 + i % 8]) for i in range(24)]
NAME = "imported"


@pytest.fixture(scope="module", params=LAYOUTS)
async def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("imported")
    folder = write_folder(root / "exported", request.param)
    zoo: Path = root / "zoo"
    languages = ["--source", "en", "--target", "fr"]
    arguments = [str(folder), "--models", str(zoo), "--name", NAME, *languages]
    assert main(["models", "import", *arguments]) == 0
    registry = CollectorRegistry()
    metrics = Metrics.create(registry)
    models = Models(Lifecycle())
    options = LoadOptions(workers=2, max_batch_size=8, decode_slots=6)
    live, broken = await load_all(Catalog(zoo), options, metrics)
    models.serve(live, broken)
    assert not models.broken
    models.lifecycle.become_ready()
    app = make_app(models, metrics, registry)
    yield app.client
    await app.client.aclose()
    for model in live:
        model.close(timeout_s=5.0)


def oracle(text: str) -> str:
    tokenizer = TextTokenizer(letter_tokenizer(VOCABULARY))
    source = np.array([*tokenizer.plain_ids(text), EOS])
    return tokenizer.decode(ReferenceDecoder(Weights()).greedy(source).ids).strip()


async def translate(client: httpx.AsyncClient, text: str) -> str:
    response = await client.post("/v1/translate", json={"text": text})
    assert response.status_code == 200, response.text
    (result,) = response.json()["results"]
    assert (result["source"], result["target"]) == ("en", "fr")
    return str(result["text"])


async def test_texts_that_come_together_are_translated_as_the_oracle_does(
    client: httpx.AsyncClient,
) -> None:
    found = await asyncio.gather(*(translate(client, text) for text in TEXTS))
    assert found == [oracle(text) for text in TEXTS]
    assert len(set(found)) > 10


async def test_a_text_alone_has_the_same_words(client: httpx.AsyncClient) -> None:
    assert await translate(client, TEXTS[5]) == oracle(TEXTS[5])


async def test_a_beam_is_refused_with_what_to_do(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/translate", json={"text": "a dog", "beam": 4})
    assert response.status_code == 422
    assert "send beam 1" in response.json()["detail"]


async def test_a_translation_may_be_streamed(client: httpx.AsyncClient) -> None:
    body = {"text": TEXTS[6], "stream": True}
    response = await client.post("/v1/translate", json=body)
    kind, data = response.text.strip().split("\n\n")[-1].split("\n")
    assert kind == "event: result"
    (result,) = orjson.loads(data.removeprefix("data: "))["results"]
    assert result["text"] == oracle(TEXTS[6])


async def test_a_deadline_ends_a_translation_in_the_middle(client: httpx.AsyncClient) -> None:
    headers = {"x-request-timeout-ms": "1"}
    body = {"text": TEXTS * 2}
    response = await client.post("/v1/translate", json=body, headers=headers)
    assert response.status_code in (429, 504), response.text
    assert await translate(client, TEXTS[3]) == oracle(TEXTS[3])


async def test_the_inventory_says_that_nothing_was_tested(client: httpx.AsyncClient) -> None:
    (version,) = (await client.get(f"/v1/models/{NAME}")).json()["versions"]
    assert version["self_test"] == {"outcome": "none", "reason": "no self-test", "refused": []}
    assert version["preprocessing"]["optimum"] == {
        "prefix": "",
        "first_id": None,
        "banned_ids": [],
    }

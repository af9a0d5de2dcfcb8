"""What the service says about itself: models, readiness, metrics, documentation."""

import asyncio
import re
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from model_zoo.catalog import Catalog
from service.batching.batcher import Batcher
from service.http.inventory import describe
from service.metrics import Metrics
from service.repository.lifecycle import Lifecycle
from service.repository.live import LiveModel
from service.repository.loading import load_all
from service.repository.models import Models
from service.repository.options import LoadOptions
from tests.integration.conftest import App, make_app
from tests.tiny_zoo import IMAGES, TEXTS, TRANSLATOR

pytestmark = pytest.mark.anyio


async def test_all_live_models_are_listed(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()
    found = [(model["name"], model["version"], model["default"]) for model in listed["models"]]
    assert found == [
        (IMAGES, "2", True),
        (IMAGES, "1", False),
        (TRANSLATOR, "1", True),
        (TEXTS, "1", True),
    ]
    assert listed["broken"] == []


async def test_a_model_tells_where_it_runs_and_why_it_may_be_trusted(
    client: httpx.AsyncClient,
) -> None:
    model = (await client.get(f"/v1/models/{TEXTS}")).json()["versions"][0]
    assert model["task"] == "text-classification"
    assert model["variant"] == "fp32"
    assert sum(model["providers"].values()) > 0
    assert list(model["providers"]) == ["CPUExecutionProvider"]
    assert model["preprocessing"]["max_tokens"] == 64
    assert model["variants"][0]["evidence"]["accuracy"][0]["value"] == 0.5


async def test_a_model_tells_in_which_form_its_graph_runs(app: App) -> None:
    def told(written_anew: bool) -> str:
        live = app.models.find("image-classification")
        assert isinstance(live, LiveModel)
        found: str = describe(replace(live, written_anew=written_anew), app.models)["graph"]
        return found

    assert told(False) == "as published"
    assert "AMX" in told(True)


async def test_a_model_tells_how_long_it_will_take(client: httpx.AsyncClient) -> None:
    async def latency(name: str) -> dict[str, Any]:
        model = (await client.get(f"/v1/models/{name}")).json()["versions"][0]
        found: dict[str, Any] = model["latency"]
        return found

    texts = await latency(TEXTS)
    assert texts["batches_seen"] >= len(texts["table"]) > 1
    slowest = max(texts["table"], key=lambda row: (row["batch"], row["length"]))
    assert slowest["ms"] == max(row["ms"] for row in texts["table"]) > 0.0
    assert {row["length"] for row in (await latency(IMAGES))["table"]} == {1}
    assert (await latency(TRANSLATOR))["work_per_token_ms"] > 0.0


async def test_a_model_tells_whether_items_join_a_batch_that_runs(
    client: httpx.AsyncClient,
) -> None:
    models = (await client.get("/v1/models")).json()["models"]
    assert {model["name"]: model["batching"] for model in models} == {
        IMAGES: "dynamic",
        TEXTS: "dynamic",
        TRANSLATOR: "continuous",
    }


async def test_a_model_tells_by_how_much_answers_may_come_later(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def margin() -> float:
        model = (await client.get(f"/v1/models/{TRANSLATOR}")).json()["versions"][0]
        found: float = model["latency"]["margin"]
        return found

    assert await margin() == 1.0
    monkeypatch.setattr(Batcher, "margin", 1.23456)
    assert await margin() == 1.235


async def test_an_unknown_model_is_told_which_there_are(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/models/nothing")
    assert answer.status_code == 404
    assert TEXTS in answer.json()["detail"]


async def test_the_probes_answer(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez")).json() == {"status": "alive"}
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert f"{TEXTS}/1" in ready.json()["models"]


async def test_the_metrics_hold_what_was_served(client: httpx.AsyncClient) -> None:
    await client.post("/v1/sentiment", json={"text": "a"})
    page = await client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    for series in (
        f'slipway_requests_total{{endpoint="/v1/sentiment",model="{TEXTS}"',
        f'slipway_model_info{{model="{TEXTS}"',
        f'slipway_stage_duration_seconds_bucket{{le="0.001",model="{TEXTS}",stage="tokenize"',
        f'slipway_batch_size_count{{model="{TEXTS}"',
        f'slipway_queue_depth{{model="{TEXTS}"}} 0.0',
        "slipway_inflight_requests 1.0",
    ):
        assert series in page.text


async def test_a_head_is_told_and_counted_as_the_page_is(client: httpx.AsyncClient) -> None:
    async def counted() -> float:
        told = (await client.get("/metrics")).text
        (count,) = re.findall(r'slipway_requests_total{endpoint="/v1/models",.* ([0-9.]+)\n', told)
        return float(count)

    page, before = await client.get("/v1/models"), await counted()
    head = await client.head("/v1/models")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == page.headers["content-type"]
    assert await counted() == before + 1


async def test_the_front_door_leads_to_the_docs(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", follow_redirects=True)
    assert answer.url.path == "/docs"
    assert "curl" in answer.text


async def test_the_docs_need_no_network_and_no_script(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert "<script" not in page
    assert set(re.findall(r"https?://[^/\s<\"']+", page)) == {"http://slipway"}


async def test_the_docs_escape_what_the_client_says_of_the_host(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs", headers={"host": "<b>x</b>"})
    assert "<b>x" not in page.text


async def test_every_route_is_documented_with_its_answers(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/v1/classify",
        "/v1/sentiment",
        "/v1/translate",
        "/v1/models",
        "/v1/models/{name}",
        "/livez",
        "/readyz",
        "/metrics",
    }
    for path in ("/v1/classify", "/v1/sentiment", "/v1/translate"):
        route = document["paths"][path]["post"]
        assert route["requestBody"]["content"]
        assert "example" in route["responses"]["200"]["content"]["application/json"]
        assert "application/problem+json" in route["responses"]["429"]["content"]


async def test_every_reference_in_the_document_leads_somewhere(client: httpx.AsyncClient) -> None:
    response = await client.get("/openapi.json")
    schemas = response.json()["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', response.text))
    assert references <= set(schemas)
    assert "TranslateCall" in references


async def test_before_the_models_are_there_requests_are_told_to_wait(app: App) -> None:
    registry = CollectorRegistry()
    starting = make_app(Models(Lifecycle()), Metrics.create(registry), registry)
    for answer in (
        await starting.client.get("/readyz"),
        await starting.client.post("/v1/sentiment", json={"text": "a"}),
        await starting.client.post("/v1/classify", content=b"x"),
    ):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "loaded" in answer.json()["detail"]
    assert (await starting.client.get("/livez")).status_code == 200
    assert starting.requests("not_ready") == 3


async def test_while_it_drains_it_is_not_ready_and_still_answers(app: App) -> None:
    registry = CollectorRegistry()
    models = Models(Lifecycle())
    models.serve(app.models.live)
    models.lifecycle.become_ready()
    models.lifecycle.begin_drain()
    draining = make_app(models, Metrics.create(registry), registry)
    assert (await draining.client.get("/readyz")).status_code == 503
    answer = await draining.client.post("/v1/sentiment", json={"text": "a"})
    assert answer.status_code == 200


async def test_a_changed_byte_breaks_one_model_and_no_other(broken_zoo: Catalog) -> None:
    registry = CollectorRegistry()
    metrics = Metrics.create(registry)
    live, broken = await load_all(broken_zoo, LoadOptions(workers=1), metrics)
    models = Models(Lifecycle())
    models.serve(live, broken)
    models.lifecycle.become_ready()
    app = make_app(models, metrics, registry)
    listed = (await app.client.get("/v1/models")).json()
    assert [model["name"] for model in listed["models"]] == [TRANSLATOR, TEXTS]
    (reported,) = listed["broken"]
    assert (reported["name"], reported["version"]) == (IMAGES, "1")
    assert "model.onnx" in reported["reason"]
    assert "sha256" in reported["reason"]
    assert str(broken_zoo.root) not in reported["reason"]
    assert (await app.client.get("/readyz")).json()["broken"] == [f"{IMAGES}/1"]
    classified = await app.client.post("/v1/classify", content=b"x")
    assert classified.status_code == 404
    for model in live:
        await asyncio.to_thread(model.close, 5.0)

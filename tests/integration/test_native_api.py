"""The native API from request to answer, with real models."""

import asyncio
import io
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from PIL import Image

from service.http.errors import TABLE
from tests.integration.conftest import BODY_BYTES, IMAGE_BYTES, App
from tests.tiny_zoo import IMAGES, TEXTS, TRANSLATOR

pytestmark = pytest.mark.anyio

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def picture(colour: tuple[int, int, int], kind: str = "PNG", side: int = 16) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(data, kind)
    return data.getvalue()


def results(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()["results"]


def refused(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["status"] == status
    return str(problem["detail"])


# Images


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
async def test_a_raw_image_is_classified(client: httpx.AsyncClient, kind: str) -> None:
    headers = {"content-type": f"image/{kind.lower()}"}
    answer = await client.post("/v1/classify", content=picture(GREEN, kind), headers=headers)
    (result,) = results(answer)
    assert answer.json() | {"results": []} == {
        "model": IMAGES,
        "version": "2",
        "variant": "fp32",
        "results": [],
    }
    assert set(result) == {"label", "score", "top"}
    assert result["label"] == "green"
    assert result["top"][0] == {"label": "green", "score": result["score"]}
    scores = [found["score"] for found in result["top"]]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-5)


async def test_top_k_limits_the_list(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/classify?top_k=1", content=picture(RED))
    assert [found["label"] for found in results(answer)[0]["top"]] == ["red"]


async def test_the_three_ways_to_send_images_give_one_answer(client: httpx.AsyncClient) -> None:
    pictures = [picture(colour) for colour in (RED, GREEN, BLUE)]
    raw = [results(await client.post("/v1/classify", content=data))[0] for data in pictures]
    form = await client.post("/v1/classify", files=[("file", data) for data in pictures])
    encoded = [b64encode(data).decode() for data in pictures]
    json = await client.post("/v1/classify", json={"images": encoded})
    assert [result["label"] for result in raw] == ["red", "green", "blue"]
    assert results(form) == results(json) == raw


async def test_one_bad_image_costs_only_its_own_request(client: httpx.AsyncClient) -> None:
    bodies = [picture(RED)] * 31
    bodies.insert(17, b"\x89PNG\r\n\x1a\n and then nothing")
    sent = (client.post("/v1/classify", content=body) for body in bodies)
    statuses = [response.status_code for response in await asyncio.gather(*sent)]
    assert statuses == [200] * 17 + [422] + [200] * 14


async def test_one_bad_image_in_a_request_is_named(client: httpx.AsyncClient) -> None:
    files = [("file", picture(RED)), ("file", b"no image"), ("file", picture(RED))]
    assert "Item 1" in refused(await client.post("/v1/classify", files=files), 415)


async def test_too_many_images_are_refused(client: httpx.AsyncClient) -> None:
    images = [b64encode(picture(RED)).decode()] * 65
    assert "64" in refused(await client.post("/v1/classify", json={"images": images}), 422)


async def test_a_large_image_body_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/classify", content=bytes(IMAGE_BYTES + 1))
    assert str(IMAGE_BYTES) in refused(answer, 413)


# Sentiment


async def test_a_text_has_a_sentiment(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/sentiment", json={"text": "What a film!"})
    (result,) = results(answer)
    assert answer.json()["model"] == TEXTS
    assert set(result) == {"label", "score", "scores", "truncated"}
    assert set(result["scores"]) == {"negative", "positive"}
    assert result["score"] == result["scores"][result["label"]]
    assert result["truncated"] is False


async def test_texts_are_answered_in_order(client: httpx.AsyncClient) -> None:
    texts = ["a", "bb ccc", "Zoo!", "a"]
    alone = [results(await client.post("/v1/sentiment", json={"text": text}))[0] for text in texts]
    together = results(await client.post("/v1/sentiment", json={"text": texts}))
    assert [r["label"] for r in together] == [r["label"] for r in alone]
    for one, other in zip(together, alone, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


async def test_a_text_that_was_cut_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/sentiment", json={"text": "word " * 100})
    assert results(answer)[0]["truncated"] is True


@pytest.mark.parametrize("text", ["", "   ", "\n"])
async def test_an_empty_text_has_no_sentiment(client: httpx.AsyncClient, text: str) -> None:
    refused(await client.post("/v1/sentiment", json={"text": text}), 422)


async def test_a_text_beyond_the_limit_is_refused(client: httpx.AsyncClient) -> None:
    detail = refused(await client.post("/v1/sentiment", json={"text": "a" * 10_001}), 413)
    assert "10000" in detail


async def test_a_large_json_body_is_refused(client: httpx.AsyncClient) -> None:
    texts = ["a" * 9000] * 150
    refused(await client.post("/v1/sentiment", json={"text": texts}), 413)
    assert len(texts) * 9000 > BODY_BYTES


async def test_many_texts_are_parsed_off_the_event_loop(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/sentiment", json={"text": ["word " * 400] * 60})
    assert len(results(answer)) == 60


# Translation


async def test_more_sentences_than_one_request_may_have_are_refused(
    client: httpx.AsyncClient,
) -> None:
    texts = ["Dogs run. " * 400] * 4
    detail = refused(await client.post("/v1/translate", json={"text": texts}), 413)
    assert detail == (
        "The first 3 of 4 items have 1200 sentences and one request may have 1024; "
        "send it in pieces."
    )


async def test_a_text_is_translated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/translate", json={"text": "A dog runs."})
    (result,) = results(answer)
    assert answer.json()["model"] == TRANSLATOR
    assert set(result) == {"text", "source", "target", "score", "truncated"}
    assert (result["source"], result["target"]) == ("en", "de")
    assert result["score"] < 0


@pytest.mark.parametrize("text", ["", "  ", "\n\n", "123", "?!"])
async def test_what_has_no_words_comes_back_as_it_is(client: httpx.AsyncClient, text: str) -> None:
    (result,) = results(await client.post("/v1/translate", json={"text": text}))
    assert result["text"] == text
    assert result["truncated"] is False


async def test_line_breaks_are_kept(client: httpx.AsyncClient) -> None:
    text = "One.\n\nTwo.\r\n  Three."
    (result,) = results(await client.post("/v1/translate", json={"text": text}))
    parts = [
        results(await client.post("/v1/translate", json={"text": t}))[0]["text"]
        for t in ("One.", "Two.", "Three.")
    ]
    assert result["text"] == "{}\n\n{}\r\n  {}".format(*parts)


async def test_a_long_text_is_split_and_joined_off_the_event_loop(
    client: httpx.AsyncClient,
) -> None:
    text = "A b.\n" * 900
    (result,) = results(await client.post("/v1/translate", json={"text": text}))
    assert result["text"].count("\n") == 900


async def test_a_beam_may_be_asked_for(client: httpx.AsyncClient) -> None:
    results(await client.post("/v1/translate", json={"text": "A dog.", "beam": 4}))


@pytest.mark.parametrize("pair", [{"source": "fr"}, {"target": "fr"}])
async def test_another_pair_of_languages_is_not_live(
    client: httpx.AsyncClient, pair: dict[str, str]
) -> None:
    answer = await client.post("/v1/translate", json={"text": "A dog.", **pair})
    assert "en to de" in refused(answer, 404)


# Models and versions


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_version_may_be_asked_for_in_the_query(
    client: httpx.AsyncClient, version: str
) -> None:
    answer = await client.post(f"/v1/classify?version={version}", content=picture(RED))
    assert answer.json()["version"] == version


async def test_a_model_may_be_asked_for_in_the_body(client: httpx.AsyncClient) -> None:
    body = {"text": "a", "model": TEXTS, "version": "1"}
    assert results(await client.post("/v1/sentiment", json=body))


async def test_the_body_wins_over_the_query(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/sentiment?model=other&version=1", json={"text": "a", "model": TEXTS}
    )
    assert results(answer)


@pytest.mark.parametrize(
    "query", ["model=nothing", "version=9", f"model={TEXTS}", f"model={IMAGES}&version=3"]
)
async def test_an_unknown_model_is_told_which_there_are(
    client: httpx.AsyncClient, query: str
) -> None:
    detail = refused(await client.post(f"/v1/classify?{query}", content=picture(RED)), 404)
    assert f"{IMAGES} (version 2)" in detail


@pytest.mark.parametrize("query", ["model=../etc", "version=0", "version=x", "colour=red"])
async def test_a_query_that_means_nothing_is_refused(client: httpx.AsyncClient, query: str) -> None:
    refused(await client.post(f"/v1/classify?{query}", content=picture(RED)), 422)


# Wrong requests


@pytest.mark.parametrize("path", ["/v1/classify", "/v1/sentiment", "/v1/translate"])
async def test_an_empty_body_is_told_what_to_send(client: httpx.AsyncClient, path: str) -> None:
    assert "send" in refused(await client.post(path, content=b""), 422).lower()


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"null", b'"text"', b'{"text": {}}', b"\x00", b'{"text": "a"}{', b"[" * 5000],
)
async def test_a_wrong_json_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    for path in ("/v1/sentiment", "/v1/translate"):
        refused(await client.post(path, content=body), 422)


async def test_a_wrong_method_is_told_the_right_one(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/classify")
    assert "POST" in refused(answer, 405)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1/classify/", "/v1/models/../../etc", "/V1/CLASSIFY"]
)
async def test_an_unknown_path_is_a_problem_too(client: httpx.AsyncClient, path: str) -> None:
    refused(await client.post(path, content=b"x"), 404)


async def test_a_deadline_that_has_passed_is_told(client: httpx.AsyncClient) -> None:
    headers = {"x-request-timeout-ms": "0"}
    answer = await client.post("/v1/sentiment", json={"text": "a"}, headers=headers)
    refused(answer, 504)


@pytest.mark.parametrize("value", ["soon", "-1", "1.5", "9" * 101])
async def test_a_wrong_deadline_is_told(client: httpx.AsyncClient, value: str) -> None:
    headers = {"x-request-timeout-ms": value}
    answer = await client.post("/v1/sentiment", json={"text": "a"}, headers=headers)
    assert "X-Request-Timeout-Ms" in refused(answer, 422)


async def test_all_requests_are_counted_once(app: App) -> None:
    outcomes = sorted({kind.outcome for kind in TABLE.values()} | {"ok"})
    before = {outcome: app.requests(outcome) for outcome in outcomes}
    client = app.client
    sent: Sequence[Any] = [
        client.post("/v1/classify", content=picture(RED)),
        client.post("/v1/classify", content=b"no image"),
        client.post("/v1/sentiment", json={"text": "a"}, headers={"x-request-timeout-ms": "0"}),
        client.get("/v1/models"),
        client.get("/nothing"),
        client.get("/livez"),
    ]
    await asyncio.gather(*sent)
    counted = {outcome: app.requests(outcome) - before[outcome] for outcome in outcomes}
    expected = {"ok": 3, "client_error": 2, "expired": 1}
    assert counted == {outcome: expected.get(outcome, 0) for outcome in outcomes}


@pytest.mark.parametrize("value", ["interactive", "bulk", "BULK"])
async def test_a_request_may_say_that_it_can_wait(client: httpx.AsyncClient, value: str) -> None:
    headers = {"x-priority": value}
    results(await client.post("/v1/sentiment", json={"text": "a"}, headers=headers))


@pytest.mark.parametrize("value", ["urgent", "", "1"])
async def test_another_priority_is_told_which_there_are(
    client: httpx.AsyncClient, value: str
) -> None:
    headers = {"x-priority": value}
    answer = await client.post("/v1/sentiment", json={"text": "a"}, headers=headers)
    assert answer.status_code == 422
    assert "interactive or bulk" in answer.json()["detail"]

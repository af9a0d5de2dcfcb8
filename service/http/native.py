"""The native API: POST /v1/classify, /v1/sentiment and /v1/translate. Routes only translate."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from service.errors import InvalidInput
from service.http.client_watch import ClientWatch
from service.http.exchange import Exchange, exchange_of
from service.http.image_bodies import read_images
from service.http.schemas import Call, SentimentCall, TranslateCall, parse_fields, parse_json
from service.predictor import predict
from service.repository.live import LiveModel
from service.repository.models import Models
from service.tasks.base import TranslationText
from service.tasks.image_classification import ImagePrediction
from service.tasks.sentiment import SentimentPrediction
from service.tasks.translation import TranslationPrediction

# Longer texts are parsed in a thread, so that nobody else waits for it.
ON_LOOP_BYTES = 64 << 10
SCORE_DIGITS = 6

AnyCall = TypeVar("AnyCall", bound=Call)


class NativeApi:
    """The three routes over the live models; `timeout_s` is the deadline of every item."""

    def __init__(self, models: Models, *, timeout_s: float) -> None:
        self._models = models
        self._timeout_s = timeout_s

    async def classify(self, request: Request) -> Response:
        """Tell what is in each image."""
        exchange = exchange_of(request.scope)
        self._models.lifecycle.require_started()
        call = await read_images(request, exchange.content_type)
        options = call.options
        live = self._models.find("image-classification", options.model, options.version)
        predictions = await self._predict(exchange, live, call.images)
        return _answer(live, [image_result(p, options.top_k) for p in predictions])

    async def sentiment(self, request: Request) -> Response:
        """Tell how each text feels."""
        exchange = exchange_of(request.scope)
        self._models.lifecycle.require_started()
        call = await _read_call(request, exchange, SentimentCall)
        live = self._models.find("text-classification", call.model, call.version)
        predictions = await self._predict(exchange, live, call.texts())
        return _answer(live, [sentiment_result(p) for p in predictions])

    async def translate(self, request: Request) -> Response:
        """Translate each text, its line breaks kept."""
        exchange = exchange_of(request.scope)
        self._models.lifecycle.require_started()
        call = await _read_call(request, exchange, TranslateCall)
        live = self._models.find_translator(call.source, call.target, call.model, call.version)
        texts = [TranslationText(text, call.beam) for text in call.texts()]
        predictions = await self._predict(exchange, live, texts)
        return _answer(live, [translate_result(p) for p in predictions])

    async def _predict(
        self, exchange: Exchange, live: LiveModel, items: Sequence[Any]
    ) -> Sequence[Any]:
        exchange.model, exchange.version = live.name, live.version
        exchange.items = len(items)
        with ClientWatch(exchange):
            return await predict(live, items, exchange.timeout_s(self._timeout_s))


async def _read_call(request: Request, exchange: Exchange, schema: type[AnyCall]) -> AnyCall:
    """The JSON body, with `model` and `version` from the query where the body does not say."""
    body = await request.body()
    if not body:
        raise InvalidInput('The body is empty; send JSON such as {"text": "..."}.')
    parse: Callable[[type[AnyCall], bytes], AnyCall] = parse_json
    call = (
        parse(schema, body)
        if len(body) <= ON_LOOP_BYTES
        else await asyncio.to_thread(parse, schema, body)
    )
    if not request.scope["query_string"]:
        return call
    asked = parse_fields(Call, dict(request.query_params))
    return call.model_copy(
        update={"model": call.model or asked.model, "version": call.version or asked.version}
    )


def image_result(prediction: ImagePrediction, top_k: int) -> dict[str, Any]:
    """One image's part of the answer."""
    top = [{"label": label, "score": _score(score)} for label, score in prediction.top(top_k)]
    return {**top[0], "top": top}


def sentiment_result(prediction: SentimentPrediction) -> dict[str, Any]:
    """One text's part of the answer."""
    return {
        "label": prediction.label,
        "score": _score(prediction.score),
        "scores": {label: _score(score) for label, score in prediction.scores.items()},
        "truncated": prediction.truncated,
    }


def translate_result(prediction: TranslationPrediction) -> dict[str, Any]:
    """One translation's part of the answer."""
    return {
        "text": prediction.text,
        "source": prediction.source,
        "target": prediction.target,
        "score": _score(prediction.score),
        "truncated": prediction.truncated,
    }


def _score(value: float) -> float:
    return round(float(value), SCORE_DIGITS)


def _answer(live: LiveModel, results: list[dict[str, Any]]) -> Response:
    body = orjson.dumps(
        {"model": live.name, "version": live.version, "variant": live.variant, "results": results}
    )
    return Response(body, media_type="application/json")

"""The native API: POST /v1/classify, /v1/sentiment and /v1/translate. Routes only translate."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from model_zoo.manifest import Task
from service.errors import InvalidInput, PayloadTooLarge
from service.http.door import ModelDoor
from service.http.exchange import Exchange, event_of
from service.http.image_bodies import read_images
from service.http.results import answer, image_result, sentiment_result, translate_result
from service.http.schemas import (
    ON_LOOP_BYTES,
    Call,
    SentimentCall,
    TranslateCall,
    parse_fields,
    parse_json,
)
from service.http.turning_away import Door
from service.predictor import Progress, predict
from service.repository.live import ServedModel
from service.repository.models import Models
from service.tasks.base import TranslationText

AnyCall = TypeVar("AnyCall", bound=Call)


@dataclass(frozen=True, slots=True)
class ItemLimits:
    """How much one request may ask for."""

    max_items: int = 64
    max_characters: int = 32_000

    def check_texts(self, texts: Sequence[str]) -> None:
        """InvalidInput for too many texts, PayloadTooLarge for one that is too long."""
        self.check_count(len(texts))
        for place, text in enumerate(texts):
            if len(text) > self.max_characters:
                raise PayloadTooLarge(
                    f"Text {place} (counted from 0) has {len(text)} characters; "
                    f"{self.max_characters} may be sent. Send it in pieces."
                )

    def check_count(self, count: int) -> None:
        """InvalidInput for too many items."""
        if count > self.max_items:
            raise InvalidInput(
                f"{count} items are too many for one request; send at most {self.max_items}."
            )


class NativeApi:
    """The three routes over the live models; `timeout_s` is the longest deadline of a request."""

    def __init__(self, models: Models, *, limits: ItemLimits, timeout_s: float) -> None:
        self._models = models
        self._limits = limits
        self._timeout_s = timeout_s

    def door(self, task: Task) -> Door:
        """Refuses what the model of this task would refuse, as far as a look at the body tells."""
        return ModelDoor(self._models, task, self._timeout_s)

    async def classify(self, exchange: Exchange) -> bytes:
        """Tell what is in each image."""
        self._models.lifecycle.require_started()
        call = await read_images(exchange, self._limits.max_items)
        self._limits.check_count(len(call.images))
        options = call.options
        live = self._models.find("image-classification", options.model, options.version)
        predictions = await self._predict(exchange, live, call.images)
        return _answer(live, [image_result(p, options.top_k) for p in predictions])

    async def sentiment(self, exchange: Exchange) -> bytes:
        """Tell how each text feels."""
        self._models.lifecycle.require_started()
        call = await _read_call(exchange, SentimentCall)
        texts = call.texts()
        self._limits.check_texts(texts)
        live = self._models.find("text-classification", call.model, call.version)
        predictions = await self._predict(exchange, live, texts)
        return _answer(live, [sentiment_result(p) for p in predictions])

    async def translate(self, exchange: Exchange) -> bytes | None:
        """Translate each text, its line breaks kept; with `stream`, tell how it grows."""
        self._models.lifecycle.require_started()
        call = await _read_call(exchange, TranslateCall)
        live = self._models.find_translator(call.source, call.target, call.model, call.version)
        texts = call.texts()
        self._limits.check_texts(texts)
        items = [TranslationText(text, call.beam) for text in texts]
        on_progress = _teller(exchange) if call.stream else None
        predictions = await self._predict(exchange, live, items, on_progress)
        answer = _answer(live, [translate_result(p) for p in predictions])
        if not call.stream:
            return answer
        exchange.tell_last(event_of(b"result", answer))
        return None

    async def _predict(
        self,
        exchange: Exchange,
        live: ServedModel,
        items: Sequence[Any],
        on_progress: Progress | None = None,
    ) -> Sequence[Any]:
        exchange.model, exchange.version = live.name, live.version
        exchange.items = len(items)
        with exchange.watched():
            return await predict(
                live,
                items,
                exchange.timeout_s(self._timeout_s),
                priority=exchange.priority(),
                on_progress=on_progress,
            )


def _teller(exchange: Exchange) -> Progress:
    """Tells the client how far each text is. Every event has all of the text that is known."""

    def tell(place: int, text: str) -> None:
        news = orjson.dumps({"index": place, "text": text})
        exchange.tell(event_of(b"progress", news))

    return tell


async def _read_call(exchange: Exchange, schema: type[AnyCall]) -> AnyCall:
    """The JSON body, with `model` and `version` from the query where the body does not say."""
    body = await exchange.body()
    if not body:
        raise InvalidInput('The body is empty; send JSON such as {"text": "..."}.')
    if len(body) <= ON_LOOP_BYTES:
        call = parse_json(schema, body)
    else:
        call = await asyncio.to_thread(parse_json, schema, body)
    query = exchange.query()
    if not query:
        return call
    asked = parse_fields(Call, query)
    return call.model_copy(
        update={"model": call.model or asked.model, "version": call.version or asked.version}
    )


def _answer(live: ServedModel, results: list[dict[str, Any]]) -> bytes:
    return orjson.dumps(answer(live, results))

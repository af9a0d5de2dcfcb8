"""Tells the metrics what went into a model and what came out of it."""

import math
from collections.abc import Iterable
from typing import Any

from model_zoo.manifest import Manifest
from service.metrics import ModelMetrics
from service.runtime.collate import padding_of
from service.tasks.image_classification import ImagePrediction
from service.tasks.sentiment import SentimentPrediction
from service.tasks.translation import TranslationPrediction


def announce_content(metrics: ModelMetrics, manifest: Manifest) -> None:
    """Tell what this model reads and answers, before it does."""
    metrics.expects(labels=manifest.labels, texts=manifest.task != "image-classification")


def watch_texts(metrics: ModelMetrics, features: Iterable[Any], *, padded: bool) -> None:
    """These features are about to run together; images among them are left out.

    `padded` when those that run together are padded to one length.
    """
    texts = [found for found in features if hasattr(found, "ids")]
    if not texts:
        return
    tokens = [len(text.ids) for text in texts]
    real = sum(tokens)
    metrics.texts_read(
        tokens,
        truncated=sum(text.truncated for text in texts),
        unknown=_unknown(texts),
    )
    metrics.tokens_ran(real=real, padding=padding_of(tokens) if padded else 0)


def watch_answer(metrics: ModelMetrics, answer: object) -> None:
    """A model gave this answer; an error is none."""
    if isinstance(answer, ImagePrediction | SentimentPrediction):
        metrics.answer_given(answer.score, answer.label)
    elif isinstance(answer, TranslationPrediction):
        metrics.answer_given(math.exp(answer.score))


def _unknown(texts: Iterable[Any]) -> int | None:
    counts = [getattr(text, "unknown", None) for text in texts]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None

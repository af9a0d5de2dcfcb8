"""Predictions as the plain values that the native API answers with."""

from typing import Any

from service.repository.live import ServedModel
from service.tasks.image_classification import ImagePrediction
from service.tasks.sentiment import SentimentPrediction
from service.tasks.translation import TranslationPrediction

SCORE_DIGITS = 6
_UNITS = 10.0**SCORE_DIGITS


def answer(live: ServedModel, results: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole answer: which model, and one result an item."""
    return {
        "model": live.name,
        "version": live.version,
        "variant": live.variant,
        "results": results,
    }


def image_result(prediction: ImagePrediction, top_k: int) -> dict[str, Any]:
    """One image's part of the answer."""
    top = [{"label": label, "score": _score(score)} for label, score in prediction.top(top_k)]
    return {**top[0], "top": top, **_known("uncertain", prediction.uncertain)}


def sentiment_result(prediction: SentimentPrediction) -> dict[str, Any]:
    """One text's part of the answer."""
    return {
        "label": prediction.label,
        "score": _score(prediction.score),
        "scores": {label: _score(score) for label, score in prediction.scores.items()},
        "truncated": prediction.truncated,
        **_known("uncertain", prediction.uncertain),
    }


def translate_result(prediction: TranslationPrediction) -> dict[str, Any]:
    """One translation's part of the answer."""
    return {
        "text": prediction.text,
        "source": prediction.source,
        "target": prediction.target,
        "score": _score(prediction.score),
        "truncated": prediction.truncated,
        **_known("quality", None if prediction.quality is None else _score(prediction.quality)),
    }


def _known(field: str, value: Any) -> dict[str, Any]:
    """The field, unless the model cannot tell: then the answer does not speak of it."""
    return {} if value is None else {field: value}


def _score(value: float) -> float:
    # Ten times as fast as `round`, which is asked for every label of every image.
    scaled = float(value) * _UNITS
    return (int(scaled + 0.5) if scaled >= 0.0 else int(scaled - 0.5)) / _UNITS

"""Parts, answers and errors as the plain values of a message, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model_zoo.manifest import Manifest, TranslationInput
from service.errors import InferenceFailed, Overloaded, ServiceError
from service.link.frames import Payload
from service.tasks.base import Pixels, Sentence
from service.tasks.image_classification import ImagePrediction
from service.tasks.sentiment import SentimentPrediction
from service.tasks.translation import TranslationPrediction

ERRORS = {kind.__name__: kind for kind in ServiceError.__subclasses__()}
ODD_TEXT = "surrogatepass"  # halves of characters are for the task to refuse


def pack_part(part: Pixels | str | Sentence) -> tuple[Any, bytes]:
    """What stands in the message for a part, and the bytes that go with it."""
    if isinstance(part, Pixels):
        return ["pixels", len(part.data)], part.data
    if isinstance(part, str):
        text = part.encode(errors=ODD_TEXT)
        return ["text", len(text)], text
    return ["sentence", part.text, part.beam, part.before, part.after], b""


def unpack_part(told: Sequence[Any], payload: Payload) -> Pixels | str | Sentence:
    """The part that `pack_part` packed."""
    kind, *values = told
    if kind == "pixels":
        return Pixels(payload.take(values[0]))
    if kind == "text":
        return payload.take(values[0]).decode(errors=ODD_TEXT)
    return Sentence(*values)


def pack_answer(answer: object) -> Any:
    """An answer, an error in its place, or a text that is not complete."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, ImagePrediction):
        return ["image", list(answer.probabilities), answer.uncertain]
    if isinstance(answer, SentimentPrediction):
        return ["text", list(answer.scores.values()), answer.truncated, answer.uncertain]
    if isinstance(answer, TranslationPrediction):
        found = answer
        return ["sentence", found.text, found.score, found.truncated, found.tokens, found.quality]
    return pack_error(answer)


def unpack_answer(told: Any, manifest: Manifest) -> Any:
    """The answer that `pack_answer` packed, of a model with this manifest."""
    if isinstance(told, str):
        return told
    kind, *values = told
    if kind == "error":
        return unpack_error(told)
    if kind == "sentence":
        return _translation(manifest, *values)
    probabilities, *rest = values
    score = max(probabilities)
    label = manifest.labels[probabilities.index(score)]
    if kind == "image":
        return ImagePrediction(label, score, manifest.labels, probabilities, *rest)
    scores = dict(zip(manifest.labels, probabilities, strict=True))
    return SentimentPrediction(label, score, scores, *rest)


def pack_error(error: object) -> list[Any]:
    """A ServiceError; of any other nothing is told."""
    if not isinstance(error, ServiceError):
        error = InferenceFailed("The model failed on this input.")
    kind = next(kind for kind in type(error).__mro__ if kind.__name__ in ERRORS)
    packed = ["error", kind.__name__, error.detail]
    return [*packed, error.retry_after_s] if isinstance(error, Overloaded) else packed


def unpack_error(told: Sequence[Any]) -> ServiceError:
    """The error that `pack_error` packed."""
    _, name, *values = told
    return ERRORS[name](*values)


def _translation(
    manifest: Manifest,
    text: str,
    score: float,
    truncated: bool,
    tokens: int,
    quality: float | None,
) -> TranslationPrediction:
    pair = manifest.preprocessing
    assert isinstance(pair, TranslationInput)
    return TranslationPrediction(text, pair.source, pair.target, score, truncated, tokens, quality)

"""What a task says of its own answer, for models that can tell and for those that cannot."""

import math

import numpy as np
import pytest

from model_zoo.manifest import Confidence, Manifest, QualityEstimate, TextInput
from model_zoo.self_knowledge import QualityTerm
from service.http.results import image_result, sentiment_result, translate_result
from service.tasks.base import TranslationText
from service.tasks.image_classification import ImageClassification
from service.tasks.probabilities import energy
from service.tasks.sentiment import Sentiment
from service.tasks.translation import Translation
from tests.tasks.samples import (
    byte_level_tokenizer,
    file_of,
    image_input,
    manifest,
    picture,
    translation_input,
)

LABELS = ("negative", "positive")
CONFIDENCE = Confidence(max_energy=-2.0, accepted=0.95)
SURE, UNSURE = np.array([0.0, 3.0], np.float32), np.array([0.5, 1.0], np.float32)


def with_confidence(plain: Manifest) -> Manifest:
    return plain.model_copy(update={"confidence": CONFIDENCE})


def test_energy_is_minus_the_log_of_the_sum_of_exponentials() -> None:
    together = sum(map(math.exp, (1.0, -2.0, 0.5)))
    assert energy(1.0, math.exp(1.0) / together) == pytest.approx(-math.log(together))


def test_a_text_is_uncertain_above_the_threshold_of_its_model() -> None:
    spec = TextInput(max_tokens=16, pad_id=0)
    task = Sentiment(with_confidence(manifest(spec, LABELS)), spec, byte_level_tokenizer())
    features = task.preprocess("a dog")
    for row, uncertain in ((SURE, False), (UNSURE, True)):
        found = task.postprocess(features, row)
        assert found.uncertain is uncertain
        assert sentiment_result(found)["uncertain"] is uncertain


def test_an_image_is_uncertain_above_the_threshold_of_its_model() -> None:
    spec = image_input()
    task = ImageClassification(with_confidence(manifest(spec, LABELS)), spec)
    features = task.preprocess(file_of(picture()))
    for row, uncertain in ((SURE, False), (UNSURE, True)):
        found = task.postprocess(features, row)
        assert found.uncertain is uncertain
        assert image_result(found, 2)["uncertain"] is uncertain


def test_a_model_without_a_threshold_does_not_speak_of_doubt() -> None:
    text = TextInput(max_tokens=16, pad_id=0)
    sentiment = Sentiment(manifest(text, LABELS), text, byte_level_tokenizer())
    assert "uncertain" not in sentiment_result(
        sentiment.postprocess(sentiment.preprocess("a dog"), UNSURE)
    )
    spec = image_input()
    images = ImageClassification(manifest(spec, LABELS), spec)
    assert "uncertain" not in image_result(
        images.postprocess(np.zeros((3, 1, 1), np.float32), UNSURE), 1
    )


def translator(weight: float | None) -> Translation:
    spec = translation_input()
    plain = manifest(spec)
    if weight is not None:
        terms = (QualityTerm(feature="log_probability", weight=weight),)
        plain = plain.model_copy(update={"quality": QualityEstimate(bias=0.0, terms=terms)})
    return Translation(plain, spec, byte_level_tokenizer())


def test_the_quality_of_a_text_is_its_sentences_by_their_tokens() -> None:
    task, raw = translator(1.0), TranslationText("A dog. Two birds!")
    features = [task.preprocess(part) for part in task.split(raw)]
    rows = [([70], -1.0, True), ([70, 71, 72], -3.0, True)]
    parts = [task.postprocess(f, row) for f, row in zip(features, rows, strict=True)]
    first, second = (1 / (1 + math.exp(-score)) for score in (-1.0, -3.0))
    assert [part.quality for part in parts] == pytest.approx([first, second])
    whole = task.join(raw, parts)
    assert whole.quality == pytest.approx((2 * first + 4 * second) / 6)
    assert translate_result(whole)["quality"] == round(whole.quality or 0, 6)


def test_what_needs_no_translation_is_translated_perfectly() -> None:
    assert translator(1.0).join(TranslationText("42"), []).quality == 1.0


def test_a_model_without_an_estimate_does_not_speak_of_quality() -> None:
    task = translator(None)
    found = task.join(TranslationText("42"), [])
    assert found.quality is None
    assert "quality" not in translate_result(found)

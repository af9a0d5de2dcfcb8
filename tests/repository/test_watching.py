"""From features and predictions to counts."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from service.errors import InferenceFailed
from service.metrics import Metrics, ModelMetrics
from service.repository.watching import watch_answer, watch_texts
from service.tasks.image_classification import ImagePrediction
from service.tasks.sentiment import SentimentPrediction
from service.tasks.text import Encoding
from service.tasks.translation import SourceIds, TranslationPrediction


@dataclass
class Watched:
    registry: CollectorRegistry
    metrics: ModelMetrics

    def __getitem__(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"slipway_{name}", {"model": "m"})


@pytest.fixture
def watched() -> Watched:
    registry = CollectorRegistry()
    metrics = Metrics.create(registry).model("m", 1)
    metrics.expects(labels=("bad", "good"), texts=True)
    return Watched(registry, metrics)


def ids(count: int) -> NDArray[np.int64]:
    return np.arange(count, dtype=np.int64)


def test_texts_of_one_batch_are_padded_to_the_longest(watched: Watched) -> None:
    batch = [Encoding(ids(2), False, 1), Encoding(ids(7), True, 0), Encoding(ids(3), False, 2)]
    watch_texts(watched.metrics, batch, padded=True)
    assert watched["real_tokens_total"] == 12
    assert watched["padding_tokens_total"] == 9
    assert watched["input_tokens_count"] == 3
    assert watched["truncated_inputs_total"] == 1
    assert watched["unknown_tokens_total"] == 3


def test_texts_that_are_packed_have_no_padding_and_a_full_vocabulary_no_unknowns(
    watched: Watched,
) -> None:
    batch = [SourceIds(ids(2), 1, False), SourceIds(ids(7), 4, True)]
    watch_texts(watched.metrics, batch, padded=False)
    assert watched["real_tokens_total"] == 9
    assert watched["padding_tokens_total"] == 0
    assert watched["truncated_inputs_total"] == 1
    assert watched["unknown_tokens_total"] is None


def test_images_are_no_texts(watched: Watched) -> None:
    watch_texts(watched.metrics, [np.zeros((3, 4, 4), np.float32)], padded=True)
    assert watched["input_tokens_count"] == 0


def test_answers_come_with_their_probability_and_label(watched: Watched) -> None:
    watch_answer(watched.metrics, ImagePrediction("good", 0.75, ("bad", "good"), [0.25, 0.75]))
    watch_answer(
        watched.metrics,
        SentimentPrediction("good", 0.5, {"bad": 0.5, "good": 0.5}, truncated=False),
    )
    assert watched["prediction_confidence_sum"] == 1.25
    found = watched.registry.get_sample_value(
        "slipway_predictions_total", {"model": "m", "label": "good"}
    )
    assert found == 2


def test_a_translation_is_as_probable_as_its_tokens_in_the_mean(watched: Watched) -> None:
    translation = TranslationPrediction("x", "en", "de", math.log(0.5), False, tokens=3)
    watch_answer(watched.metrics, translation)
    assert watched["prediction_confidence_sum"] == pytest.approx(0.5)


def test_an_error_is_no_answer(watched: Watched) -> None:
    watch_answer(watched.metrics, InferenceFailed("broken"))
    assert watched["prediction_confidence_count"] == 0

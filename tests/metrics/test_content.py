"""What went into a model and came out of it, as numbers that grow with nobody's imagination."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from service.metrics import Metrics, ModelMetrics
from service.metrics.content import MOST_LABELS

TEXTS = {"model": "reviews"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def model(registry: CollectorRegistry) -> ModelMetrics:
    return Metrics.create(registry).model("reviews", 1)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"slipway_{name}", TEXTS | labels)


def test_texts_are_counted_by_their_length_and_by_what_was_lost(
    model: ModelMetrics, registry: CollectorRegistry
) -> None:
    model.expects(labels=("bad", "good"), texts=True)
    model.texts_read([3, 40], truncated=1, unknown=2)
    model.texts_read([40], truncated=0, unknown=5)
    assert value(registry, "input_tokens_count") == 3
    assert value(registry, "input_tokens_sum") == 83
    assert value(registry, "input_tokens_bucket", le="32.0") == 1
    assert value(registry, "truncated_inputs_total") == 1
    assert value(registry, "unknown_tokens_total") == 7


def test_a_vocabulary_that_can_write_everything_has_no_count_of_unknown_tokens(
    model: ModelMetrics, registry: CollectorRegistry
) -> None:
    model.expects(labels=(), texts=True)
    model.texts_read([3], truncated=0, unknown=None)
    assert value(registry, "unknown_tokens_total") is None


def test_padding_is_counted_beside_what_it_pads(
    model: ModelMetrics, registry: CollectorRegistry
) -> None:
    model.expects(labels=(), texts=True)
    model.tokens_ran(real=30, padding=10)
    model.tokens_ran(real=10, padding=0)
    assert value(registry, "real_tokens_total") == 40
    assert value(registry, "padding_tokens_total") == 10


def test_answers_are_counted_by_label_and_probability(
    model: ModelMetrics, registry: CollectorRegistry
) -> None:
    model.expects(labels=("bad", "good"), texts=False)
    model.answer_given(0.93, "good")
    model.answer_given(0.55, "good")
    assert value(registry, "predictions_total", label="good") == 2
    assert value(registry, "predictions_total", label="bad") == 0
    assert value(registry, "prediction_confidence_sum") == pytest.approx(1.48)
    assert value(registry, "prediction_confidence_bucket", le="0.9") == 1


def test_an_answer_that_is_a_text_has_a_probability_and_no_label(
    model: ModelMetrics, registry: CollectorRegistry
) -> None:
    model.expects(labels=(), texts=True)
    model.answer_given(0.4)
    model.answer_given(0.4, "never promised")
    assert value(registry, "prediction_confidence_count") == 2
    assert b"slipway_predictions_total{" not in generate_latest(registry)


def test_so_many_labels_that_each_would_be_a_series_are_left_out(
    model: ModelMetrics, registry: CollectorRegistry
) -> None:
    model.expects(labels=[str(n) for n in range(MOST_LABELS + 1)], texts=False)
    model.answer_given(0.4, "7")
    assert b"slipway_predictions_total{" not in generate_latest(registry)
    assert value(registry, "prediction_confidence_count") == 1


def test_a_model_of_images_has_no_series_of_texts(
    model: ModelMetrics, registry: CollectorRegistry
) -> None:
    model.expects(labels=("cat",), texts=False)
    model.texts_read([3], truncated=0, unknown=None)
    model.tokens_ran(real=3, padding=0)
    for name in ("input_tokens_count", "real_tokens_total", "truncated_inputs_total"):
        assert value(registry, name) is None


def test_what_warmed_the_model_up_was_nobodys_input(
    model: ModelMetrics, registry: CollectorRegistry
) -> None:
    model.texts_read([3], truncated=0, unknown=0)
    model.answer_given(0.9, "good")
    model.expects(labels=("good",), texts=True)
    assert value(registry, "input_tokens_count") == 0
    assert value(registry, "prediction_confidence_count") == 0

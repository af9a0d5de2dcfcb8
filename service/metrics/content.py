"""What goes in and what comes out, by model: enough to notice that inputs or answers drift.

Never the input itself: only how long it was, and which of the model's labels it was given.
"""

from collections.abc import Sequence

from prometheus_client import Counter

from service.metrics.series import Maker

TOKEN_BUCKETS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

# A model with more labels than this is not counted by label: each would be a series of its own.
MOST_LABELS = 1000


class ContentFamilies:
    """The series, for all models."""

    def __init__(self, make: Maker) -> None:
        self.input_tokens = make.histogram(
            "input_tokens",
            "Tokens of one text, as the model reads it.",
            "model",
            buckets=TOKEN_BUCKETS,
        )
        self.truncated = make.counter(
            "truncated_inputs", "Texts of which only the beginning was read.", "model"
        )
        self.unknown = make.counter(
            "unknown_tokens", "Tokens that the vocabulary has no word for.", "model"
        )
        self.real = make.counter("real_tokens", "Tokens of texts in batches.", "model")
        self.padding = make.counter(
            "padding_tokens",
            "Tokens that were read behind the ends of texts, or made those of a batch as long.",
            "model",
        )
        self.confidence = make.histogram(
            "prediction_confidence",
            "Probability of the answer; of a translation, the mean one of its tokens.",
            "model",
            buckets=CONFIDENCE_BUCKETS,
        )
        self.predictions = make.counter("predictions", "Answers by label.", "model", "label")


class TextMetrics:
    """Texts as one model reads them."""

    def __init__(self, families: ContentFamilies, model: str) -> None:
        self._tokens = families.input_tokens.labels(model)
        self._truncated = families.truncated.labels(model)
        self._real = families.real.labels(model)
        self._padding = families.padding.labels(model)
        self._unknown: Counter | None = None
        self._unknown_of = families.unknown
        self._model = model

    def read(self, tokens: Sequence[int], *, truncated: int, unknown: int | None) -> None:
        """Texts of so many `tokens` were read, `truncated` of them not to their end.

        `unknown` tokens are no words of the vocabulary; None where it can write everything.
        """
        for count in tokens:
            self._tokens.observe(count)
        self._truncated.inc(truncated)
        if unknown is not None:
            if self._unknown is None:
                self._unknown = self._unknown_of.labels(self._model)
            self._unknown.inc(unknown)

    def ran(self, *, real: int, padding: int) -> None:
        """A batch of `real` tokens ran, with `padding` ones between them."""
        self._real.inc(real)
        self._padding.inc(padding)


class AnswerMetrics:
    """Answers that one model gives; `labels` are those that it may give, and none for a text."""

    def __init__(self, families: ContentFamilies, model: str, labels: Sequence[str]) -> None:
        self._confidence = families.confidence.labels(model)
        known = labels if len(labels) <= MOST_LABELS else ()
        self._labels = {label: families.predictions.labels(model, label) for label in known}

    def given(self, confidence: float, label: str | None) -> None:
        """One answer, of this probability; `label` is None for an answer that is a text."""
        self._confidence.observe(confidence)
        if label in self._labels:
            self._labels[label].inc()

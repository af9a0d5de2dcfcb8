"""A text in, the probability of each label out. Shapes: K labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import Manifest, TextInput
from service.errors import InvalidInput
from service.tasks.probabilities import is_uncertain, softmax
from service.tasks.text import Encoding, TextTokenizer, clean

CHARACTERS_PER_TOKEN = 4  # of English, for the estimate of the cost only


@dataclass(frozen=True, slots=True)
class SentimentPrediction:
    """The most probable label and the probability of each; `truncated` when only the text's
    beginning was read, `uncertain` None for a model that cannot tell."""

    label: str
    score: float
    scores: dict[str, float]
    truncated: bool
    uncertain: bool | None = None


class Sentiment:
    """Task over a text of any length; the model reads its first `max_tokens` tokens."""

    def __init__(self, manifest: Manifest, spec: TextInput, tokenizer_json: bytes) -> None:
        self._labels = manifest.labels
        self._confidence = manifest.confidence
        self._max_tokens = min(spec.max_tokens, manifest.limits.max_tokens or spec.max_tokens)
        self._tokenizer = TextTokenizer(tokenizer_json)

    def split(self, raw: str) -> list[str]:
        return [raw]

    def prepare(self, part: str) -> str:
        return part

    def preprocess(self, part: str) -> Encoding:
        """Token ids; InvalidInput when nothing in the text can be read."""
        text = clean(part)
        if not text or text.isspace():
            raise InvalidInput("The text is empty. Send at least one word.")
        encoding = self._tokenizer.encode(text, self._max_tokens)
        if not len(encoding.ids):
            raise InvalidInput("The text holds no readable character. Send at least one word.")
        return encoding

    def cost(self, part: str) -> int:
        return min(1 + len(part) // CHARACTERS_PER_TOKEN, self._max_tokens)

    def least_cost(self, raw: str) -> int:
        return self.cost(raw)

    def is_quick(self, part: str) -> bool:
        return part.isascii()  # other letters may have several tokens each

    def postprocess(self, features: Encoding, row: NDArray[np.floating]) -> SentimentPrediction:
        probabilities, highest_logit = softmax(row, len(self._labels))
        score = max(probabilities)
        return SentimentPrediction(
            label=self._labels[probabilities.index(score)],
            score=score,
            scores=dict(zip(self._labels, probabilities, strict=True)),
            truncated=features.truncated,
            uncertain=is_uncertain(highest_logit, score, self._confidence),
        )

    def join(self, raw: str, predictions: Sequence[SentimentPrediction]) -> SentimentPrediction:
        return predictions[0]

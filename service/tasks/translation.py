"""A text in one language in, the same text in another out, its line breaks kept.

A text is translated sentence by sentence. White space between sentences, and stretches without a
letter, are not shown to the model but put back where they stood.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import Manifest, TranslationInput
from service.errors import InferenceFailed
from service.tasks.base import Sentence, TranslationText
from service.tasks.quality import Translated, quality
from service.tasks.sentences import Segment, cut, is_one_sentence, split_sentences
from service.tasks.source_reader import make_reader
from service.tasks.text import TextTokenizer, clean, require_whole_characters

CHARACTERS_PER_TOKEN = 4  # for the estimate of the cost only

# Target ids, mean log-probability of a token (the end among them), whether the end was reached.
Generated = tuple[Sequence[int], float, bool]


@dataclass(frozen=True, slots=True, eq=False)
class SourceIds:
    """Token ids of one sentence, [T], int64, the end of sentence last; and its `text`."""

    ids: NDArray[np.int64]
    beam: int
    truncated: bool
    before: str = ""
    after: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class TranslationPrediction:
    """A translated text. `score` is the mean log-probability of its `tokens` tokens, 0 if there was
    nothing to translate; `truncated` when part of the source was not read or a sentence not ended.
    `quality`, 0 to 1, is what to expect of it; None for a model that cannot tell.
    """

    text: str
    source: str
    target: str
    score: float
    truncated: bool
    tokens: int
    quality: float | None = None


class Translation:
    """Task over a text of any length in one pair of languages."""

    def __init__(self, manifest: Manifest, spec: TranslationInput, tokenizer_json: bytes) -> None:
        self._spec = spec
        self._estimate = manifest.quality
        most = spec.max_source_tokens
        self._limit = min(most, manifest.limits.max_tokens or most)
        self._tokenizer = TextTokenizer(tokenizer_json)
        self._reader = make_reader(self._tokenizer, spec, self._limit)

    def split(self, raw: TranslationText) -> list[Sentence]:
        """The sentences that hold a letter, cut where they are too long for the model."""
        require_whole_characters(raw.text)
        sentences: list[tuple[str, list[str]]] = []
        leading: list[str] = []
        between = leading
        for segment in self._segments(raw.text):
            if segment.has_letters:
                between = [segment.gap]
                sentences.append((segment.text, between))
            else:
                between += segment
        before = ["".join(leading)] + [""] * len(sentences)
        return [
            Sentence(text, raw.beam, lead, "".join(after))
            for lead, (text, after) in zip(before, sentences, strict=False)
        ]

    def prepare(self, part: Sentence) -> Sentence:
        return part

    def preprocess(self, part: Sentence) -> SourceIds:
        found = self._reader.read(clean(part.text))
        return SourceIds(found.ids, part.beam, found.truncated, part.before, part.after, part.text)

    def cost(self, part: Sentence) -> int:
        return min(2 + len(part.text) // CHARACTERS_PER_TOKEN, self._limit)

    def least_cost(self, raw: TranslationText) -> int:
        text = raw.text.strip()
        whole = is_one_sentence(text) and len(text.encode()) < self._reader.room
        return self.cost(Sentence(text)) if whole else 1

    def is_quick(self, part: Sentence) -> bool:
        return False

    def postprocess(self, features: SourceIds, row: Generated) -> TranslationPrediction:
        ids, score, finished = row
        if not math.isfinite(score):
            raise InferenceFailed("The model gave a score that is no number.")
        translated = self._tokenizer.decode(list(ids)).strip()
        return self._prediction(
            text=features.before + translated + features.after,
            score=score,
            truncated=features.truncated or not finished,
            tokens=len(ids),
            quality=self._quality(features, row, translated),
        )

    def partial(self, features: SourceIds, ids: Sequence[int]) -> str:
        """The text of a translation that is not complete; its last word may still grow."""
        return features.before + self._tokenizer.decode(list(ids)).strip()

    def join(
        self, raw: TranslationText, predictions: Sequence[TranslationPrediction]
    ) -> TranslationPrediction:
        """The whole text; what was not translated stands as it stood."""
        # the end of a sentence counts as a token, so that no weight is zero
        tokens = sum(p.tokens + 1 for p in predictions)
        return self._prediction(
            text="".join(p.text for p in predictions) if predictions else raw.text,
            score=sum(p.score * (p.tokens + 1) for p in predictions) / max(tokens, 1),
            truncated=any(p.truncated for p in predictions),
            tokens=sum(p.tokens for p in predictions),
            quality=self._joined_quality(predictions),
        )

    def _prediction(
        self, *, text: str, score: float, truncated: bool, tokens: int, quality: float | None
    ) -> TranslationPrediction:
        return TranslationPrediction(
            text, self._spec.source, self._spec.target, score, truncated, tokens, quality
        )

    def _quality(self, features: SourceIds, row: Generated, translated: str) -> float | None:
        if self._estimate is None:
            return None
        ids, score, finished = row
        found = Translated(features.text, len(features.ids), translated, ids, score, finished)
        return quality(self._estimate, found)

    def _joined_quality(self, predictions: Sequence[TranslationPrediction]) -> float | None:
        """The sentences' mean by tokens; what needs no translation is translated perfectly."""
        if self._estimate is None:
            return None
        if not predictions:
            return 1.0
        weights = [p.tokens + 1 for p in predictions]
        parts = [(p.quality or 0.0) * w for p, w in zip(predictions, weights, strict=True)]
        return sum(parts) / sum(weights)

    def _segments(self, text: str) -> list[Segment]:
        segments: list[Segment] = []
        for segment in split_sentences(text, self._spec.source):
            segments += cut(segment, self._fits) if segment.has_letters else [segment]
        return segments

    def _fits(self, text: str) -> bool:
        # More tokens than bytes would be odd, so short sentences need not be counted; were there
        # more after all, preprocess cuts and says so.
        room = self._reader.room
        return len(text.encode()) < room or self._reader.count(clean(text)) <= room

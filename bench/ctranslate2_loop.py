"""CTranslate2 at work: text to text, batches of 32 in the order of arrival, one thread a core.

A child process: asked for `seconds`, it tells the target tokens a second; asked for one sentence at
a time, the median latency. Tokenizing and joining are inside, by the same task as in the service.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections import deque
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import ctranslate2

from bench.agreement import tokens
from bench.child import answer_questions
from bench.corpora import translation_texts
from bench.opened import newest
from service.tasks.base import Sentence, TranslationText
from service.tasks.registry import make_task

BATCH = 32


class Loop:
    """A translator over endless sentences."""

    def __init__(self, models: Path, folder: str, texts: int) -> None:
        published = newest(models, "translation")
        spec = published.manifest.preprocessing
        self._task = make_task(published.manifest, published.read)
        self._most = spec.max_target_tokens  # type: ignore[union-attr]
        self._translator = ctranslate2.Translator(
            folder,
            compute_type="int8",
            inter_threads=len(os.sched_getaffinity(0)),
            intra_threads=1,
        )
        sentences = [
            part
            for text in translation_texts(texts)[0]
            for part in self._task.split(TranslationText(text))
        ]
        self._next = cycle(sentences)
        self._mapped = False

    def throughput(self, seconds: float, *, mapped: bool) -> dict[str, float]:
        """Batches are always waiting, twice as many as there are cores.

        mapped: choose among the target tokens of the vocabulary map alone, the union of a batch's.
        """
        done, tokens_done, self._mapped = 0, 0, mapped
        waiting: deque[tuple[list[Any], Any]] = deque()
        began_s = time.perf_counter()
        while time.perf_counter() - began_s < seconds:
            while len(waiting) < 2 * self._translator.num_translators:
                waiting.append(self._begin(list(islice(self._next, BATCH))))
            features, results = waiting.popleft()
            tokens_done += self._end(features, results)
            done += len(features)
        took_s = time.perf_counter() - began_s
        for features, results in waiting:
            self._end(features, results)
        return {"tokens_per_s": tokens_done / took_s, "rate": done / took_s}

    def latency(self, seconds: float) -> dict[str, float]:
        """One sentence after another."""
        self._mapped = False
        latencies: list[float] = []
        until_s = time.perf_counter() + seconds
        while time.perf_counter() < until_s:
            began_s = time.perf_counter()
            self._end(*self._begin([next(self._next)]))
            latencies.append(time.perf_counter() - began_s)
        return {"p50_ms": statistics.median(latencies) * 1000}

    def _begin(self, sentences: list[Sentence]) -> tuple[list[Any], Any]:
        features = [self._task.preprocess(sentence) for sentence in sentences]
        results = self._translator.translate_batch(
            [tokens(found.ids) for found in features],
            beam_size=1,
            max_decoding_length=self._most,
            asynchronous=True,
            use_vmap=self._mapped,
        )
        return features, results

    def _end(self, features: list[Any], results: Any) -> int:
        """The target tokens, without the end token of each sentence, as the service counts them."""
        count = 0
        for found, result in zip(features, results, strict=True):
            ids = [int(token[1:]) for token in result.result().hypotheses[0]]
            self._task.postprocess(found, (ids, 0.0, True))
            count += len(ids)
        return count


def main() -> None:
    """Answer until the input ends."""
    loop = Loop(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

    def answer(
        seconds: float, *, one_by_one: bool = False, mapped: bool = False
    ) -> dict[str, float]:
        return loop.latency(seconds) if one_by_one else loop.throughput(seconds, mapped=mapped)

    answer_questions(answer)


if __name__ == "__main__":
    main()

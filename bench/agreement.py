"""Whether CTranslate2 translates like the published graphs: same weights, same greedy tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2

from bench.corpora import translation_texts
from bench.opened import open_model
from model_zoo.catalog import PublishedModel
from model_zoo.manifest import Precision
from service.tasks.base import TranslationText
from service.tasks.registry import AnyTask

PRECISIONS: dict[Precision, str] = {"fp32": "float32", "int8": "int8"}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many of the sentences got the same tokens."""

    same: int
    count: int

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.same / self.count


def compare(published: PublishedModel, folder: Path, count: int = 100) -> dict[str, Agreement]:
    """Each of our variants with CTranslate2 at the same precision."""
    found: dict[str, Agreement] = {}
    for variant in published.manifest.variants:
        if variant.precision in PRECISIONS:
            task, runner = open_model(published, variant.precision)
            sources = source_features(task, translation_texts(count)[0])
            ours = [list(ids) for ids, *_ in runner.run(sources)]
            translator = ctranslate2.Translator(
                str(folder), compute_type=PRECISIONS[variant.precision], intra_threads=1
            )
            theirs = translate(translator, sources, published.manifest.preprocessing)
            same = sum(a == b for a, b in zip(ours, theirs, strict=True))
            found[variant.precision] = Agreement(same, len(sources))
    return found


def source_features(task: AnyTask, texts: list[str]) -> list[Any]:
    """The token ids of every sentence of the texts."""
    parts = [part for text in texts for part in task.split(TranslationText(text))]
    return [task.preprocess(part) for part in parts]


def translate(translator: Any, sources: list[Any], spec: Any) -> list[list[int]]:
    """Greedy translations as ids, without the end token."""
    results = translator.translate_batch(
        [tokens(source.ids) for source in sources],
        beam_size=1,
        max_batch_size=32,
        max_decoding_length=spec.max_target_tokens,
    )
    return [[int(token[1:]) for token in result.hypotheses[0]] for result in results]


def tokens(ids: Any) -> list[str]:
    """As the converted model names them."""
    return [f"t{number}" for number in ids]

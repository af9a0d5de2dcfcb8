"""What a translator knows of its own quality: the estimate, and how well it goes with chrF."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from export.candidate import Candidate, OpenedVariant
from export.console import Story
from export.datasets.rows import SentencePairs
from export.quality import fit_quality, pearson, spearman
from export.scores import bleu, chrf, sentence_chrf
from model_zoo.evidence import Foresight
from model_zoo.manifest import Measurement, Precision
from service.tasks.base import TranslationText
from service.tasks.quality import Translated

MOST = 2000  # sentences for a fit or a correlation


def with_quality(candidate: Candidate, validation: SentencePairs, story: Story) -> Candidate:
    """The candidate with an estimate of quality, fitted to sentence chrF by the variant that will
    be served on a CPU."""
    served: Precision = "int8" if "int8" in candidate.graphs else "fp32"
    pairs = validation.take(np.random.default_rng(0).permutation(len(validation))[:MOST])
    found, references = _translated_alone(candidate.open(served), pairs)
    scores = np.array(sentence_chrf([one.target for one in found], references)) / 100
    estimate = fit_quality(found, scores)
    if estimate is None:
        story.say("quality: nothing that decoding leaves behind foretells it")
        return candidate
    story.say(f"quality: {', '.join(term.feature for term in estimate.terms)}")
    manifest = candidate.manifest.model_copy(update={"quality": estimate})
    return replace(candidate, manifest=manifest)


def _translated_alone(
    opened: OpenedVariant, pairs: SentencePairs
) -> tuple[list[Translated], list[str]]:
    """Pairs whose source is one sentence to the model: only there do tokens and text belong
    together."""
    parts = [opened.task.split(TranslationText(text)) for text in pairs.sources]
    alone = [i for i, found in enumerate(parts) if len(found) == 1]
    features = [opened.task.preprocess(parts[i][0]) for i in alone]
    rows = opened.rows(features)
    translated = [
        _translated(feature, row, opened.task.postprocess(feature, row).text)
        for feature, row in zip(features, rows, strict=True)
    ]
    return translated, [pairs.targets[i] for i in alone]


def _translated(features: Any, row: Any, text: str) -> Translated:
    ids, score, finished = row
    target = text.removeprefix(features.before).removesuffix(features.after)
    return Translated(features.text, len(features.ids), target, ids, score, finished)


@dataclass
class TranslatedSplits:
    """The test splits of a translator, translated once by each variant for all that is told."""

    splits: Sequence[tuple[str, str, SentencePairs]]
    texts: dict[Precision, tuple[list[str], ...]] = field(default_factory=dict)
    foresight: dict[Precision, tuple[Foresight, ...]] = field(default_factory=dict)

    def measure(self, opened: OpenedVariant) -> tuple[Measurement, ...]:
        """BLEU and chrF of greedy translations against one reference each."""
        measured: list[Measurement] = []
        texts: list[list[str]] = []
        foresight: list[Foresight] = []
        for dataset, split, pairs in self.splits:
            found = opened.predict([TranslationText(text) for text in pairs.sources])
            texts.append([one.text for one in found])
            for metric, score in (("bleu", bleu), ("chrf", chrf)):
                measured.append(
                    Measurement(
                        dataset=dataset,
                        split=split,
                        metric=metric,
                        value=score(texts[-1], pairs.targets),
                        items=len(pairs),
                    )
                )
            if found[0].quality is not None:
                foresight.append(_foresight(dataset, split, found[:MOST], pairs.targets[:MOST]))
        self.texts[opened.precision] = tuple(texts)
        self.foresight[opened.precision] = tuple(foresight)
        return tuple(measured)


def tell_foresight(candidate: Candidate, test: TranslatedSplits, story: Story) -> None:
    """Add to every variant's evidence how its estimate went with chrF on the test splits."""
    for precision, found in test.foresight.items():
        evidence = candidate.evidence[precision]
        candidate.evidence[precision] = evidence.model_copy(update={"foresight": found})
        for one in found:
            story.say(
                f"{precision}: quality correlates {one.pearson:.3f} (ranks {one.spearman:.3f}) "
                f"with chrF on {one.dataset}"
            )


def _foresight(
    dataset: str, split: str, found: Sequence[Any], references: Sequence[str]
) -> Foresight:
    foreseen = np.array([one.quality for one in found])
    scores = np.array(sentence_chrf([one.text for one in found], references))
    return Foresight(
        dataset=dataset,
        split=split,
        items=len(found),
        pearson=pearson(foreseen, scores),
        spearman=spearman(foreseen, scores),
    )

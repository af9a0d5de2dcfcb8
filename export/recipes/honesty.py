"""What a classifier knows of its own doubt: temperature, energy threshold, and how well both work.

N items, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from export.calibration import (
    Floats,
    Labels,
    auroc,
    confidence_scores,
    logsumexp,
    softmax,
)
from export.candidate import Candidate, OpenedVariant, with_graphs
from export.console import Story
from export.convert.tempered import tempered
from export.temperature import Judged, Temperature, fit_temperature, temperature_of, token_counts
from model_zoo.evidence import Calibration, Evidence, Strangers
from model_zoo.manifest import Confidence, Measurement, Precision

ACCEPTED = 0.95
DIGITS = 5


@dataclass(frozen=True)
class LabelledItems:
    """Items as a client would send them, and what they are."""

    dataset: str
    split: str
    items: Sequence[Any]
    labels: Labels


@dataclass(frozen=True)
class Answered:
    """A variant's logits to some items, the labels that it chose and, of texts, their lengths."""

    logits_NK: Floats
    chosen: Labels
    tokens: Floats | None = None

    @property
    def probabilities_NK(self) -> Floats:
        return softmax(self.logits_NK)

    @property
    def energies(self) -> Floats:
        return -logsumexp(self.logits_NK)


def answered(opened: OpenedVariant, items: Sequence[Any], names: Sequence[str]) -> Answered:
    """Through the serving code, label by label."""
    number = {name: place for place, name in enumerate(names)}
    features = opened.features(items)
    rows = opened.rows(features)
    found = zip(features, rows, strict=True)
    chosen = [number[opened.task.postprocess(one, row).label] for one, row in found]
    logits_NK = np.stack(rows).astype(np.float64)
    return Answered(logits_NK, np.array(chosen, np.int64), token_counts(features))


def calibrated(
    candidate: Candidate, validation: Sequence[LabelledItems], story: Story
) -> Candidate:
    """The candidate with each variant's temperature in its graph, and the energy threshold that
    accepts 95 % of the validation items by fp32."""
    graphs: dict[Precision, Mapping[Any, bytes]] = {}
    evidence: dict[Precision, Evidence] = {}
    threshold = 0.0
    for precision in sorted(candidate.graphs, key=lambda name: name != "fp32"):
        raw = [_answered(candidate, precision, part) for part in validation]
        temperature = fit_temperature(
            [
                Judged(answer.logits_NK, part.labels, answer.tokens)
                for part, answer in zip(validation, raw, strict=True)
            ]
        )
        divided = [_divided(answer, temperature) for answer in raw]
        if precision == "fp32":
            energies = np.concatenate([answer.energies for answer in divided])
            threshold = round(float(np.quantile(energies, ACCEPTED)), DIGITS)
        graphs[precision] = {
            role: tempered(graph, temperature)
            for role, graph in candidate.graphs[precision].items()
        }
        evidence[precision] = Evidence(
            temperature=temperature.value,
            length_exponent=temperature.exponent or None,
            smoothing=temperature.smoothing or None,
            calibration=tuple(
                _calibration(part, answer, temperature, threshold)
                for part, answer in zip(validation, divided, strict=True)
            ),
        )
        story.say(f"{precision}: temperature {temperature}")
    confidence = Confidence(max_energy=threshold, accepted=ACCEPTED)
    manifest = candidate.manifest.model_copy(update={"confidence": confidence})
    return replace(with_graphs(replace(candidate, manifest=manifest), graphs), evidence=evidence)


def _answered(candidate: Candidate, precision: Precision, part: LabelledItems) -> Answered:
    return answered(candidate.open(precision), part.items, candidate.manifest.labels)


def _divided(answer: Answered, temperature: Temperature) -> Answered:
    return replace(answer, logits_NK=temperature.applied(answer.logits_NK, answer.tokens))


def _calibration(
    part: LabelledItems, answer: Answered, temperature: Temperature, threshold: float
) -> Calibration:
    """`answer` is that after the division."""
    after = answer.probabilities_NK
    before = softmax(temperature.undone(answer.logits_NK, answer.tokens))
    return Calibration(
        dataset=part.dataset,
        split=part.split,
        items=len(part.labels),
        before=confidence_scores(before, part.labels),
        after=confidence_scores(after, part.labels),
        uncertain=float((answer.energies > threshold).mean()),
    )


@dataclass
class TestSplits:
    """The test splits of a classifier, answered once by each variant for all that is told."""

    splits: Sequence[LabelledItems]
    names: Sequence[str]
    answers: dict[Precision, tuple[Answered, ...]] = field(default_factory=dict)

    __test__ = False  # pytest takes the name for a test's

    def measure(self, opened: OpenedVariant) -> tuple[Measurement, ...]:
        """Accuracy on each split; the answers are kept."""
        found = tuple(answered(opened, split.items, self.names) for split in self.splits)
        self.answers[opened.precision] = found
        return tuple(
            Measurement(
                dataset=split.dataset,
                split=split.split,
                metric="accuracy",
                value=float(np.mean(answer.chosen == split.labels)),
                items=len(split.labels),
            )
            for split, answer in zip(self.splits, found, strict=True)
        )


def tell_doubts(
    candidate: Candidate,
    test: TestSplits,
    strangers: Mapping[str, Sequence[Any]],
    story: Story,
) -> None:
    """Add to every variant's evidence how honest its doubt is on the test splits and on items of
    another kind."""
    confidence = candidate.manifest.confidence
    assert confidence is not None
    for precision, answers in test.answers.items():
        evidence = candidate.evidence[precision]
        temperature = temperature_of(evidence)
        assert temperature is not None
        opened = candidate.open(precision)
        on_test = tuple(
            _calibration(split, answer, temperature, confidence.max_energy)
            for split, answer in zip(test.splits, answers, strict=True)
        )
        known = np.concatenate([answer.logits_NK for answer in answers])
        unlike = tuple(
            _strangers(name, known, answered(opened, items, test.names).logits_NK, confidence)
            for name, items in strangers.items()
        )
        candidate.evidence[precision] = evidence.model_copy(
            update={"calibration": (*evidence.calibration, *on_test), "strangers": unlike}
        )
        for found in on_test:
            story.say(
                f"{precision}: calibration error {found.before.ece:.4f} before, "
                f"{found.after.ece:.4f} after on {found.dataset}"
            )
        for stranger in unlike:
            story.say(f"{precision}: AUROC {stranger.auroc_energy:.3f} against {stranger.name}")


def _strangers(name: str, known: Floats, strange: Floats, confidence: Confidence) -> Strangers:
    energies = -logsumexp(strange)
    return Strangers(
        name=name,
        items=len(strange),
        auroc_energy=auroc(-logsumexp(known), energies),
        auroc_confidence=auroc(-softmax(known).max(axis=1), -softmax(strange).max(axis=1)),
        uncertain=float((energies > confidence.max_energy).mean()),
    )

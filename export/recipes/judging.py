"""The middle of every recipe: each variant through the three gates, its evidence kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from export.calibration import RARE, softmax
from export.candidate import Candidate, OpenedVariant, answer_of
from export.console import Story
from export.gates import AccuracyGate, Answer, InvarianceGate, ParityGate
from export.latency import timing
from export.temperature import temperature_of, token_counts
from model_zoo.manifest import DatasetSource, Evidence, Measurement, Precision


@dataclass(frozen=True)
class Gates:
    """The bounds of one variant."""

    parity: ParityGate
    invariance: InvarianceGate


# On the CPU, where most of its arithmetic is done in float32 with rounded weights.
HALF_GATES = Gates(ParityGate(0.02, 0.98), InvarianceGate(1e-4, 1.0))


@dataclass(frozen=True)
class Examination:
    """What the gates need: items to compare, torch's answers, and how to measure quality."""

    items: Sequence[Any]
    torch_answers: Callable[[Sequence[Any]], Sequence[Answer]]
    measure: Callable[[OpenedVariant], tuple[Measurement, ...]]
    accuracy: AccuracyGate


@dataclass(frozen=True)
class Reexamination:
    """What a recipe needs to judge a published model once more; `knows_network` unless there is no
    checkpoint of the run that made it, and with it no torch to compare with."""

    exam: Examination
    gates: Mapping[Precision, Gates]
    sources: tuple[DatasetSource, ...]
    knows_network: bool


def examine(
    candidate: Candidate, gates: dict[Precision, Gates], exam: Examination, story: Story
) -> None:
    """Put every variant, fp32 first, through all gates; raises the error of the first that fails.

    `torch_answers` is given features, as the serving task made them; where the variant divides its
    logits by a temperature, torch's are divided too.
    """
    reference: tuple[Measurement, ...] = ()
    max_tokens: int | None = getattr(candidate.manifest.preprocessing, "max_tokens", None)
    for precision in sorted(candidate.graphs, key=lambda name: name != "fp32"):
        opened, bounds = candidate.open(precision), gates[precision]
        known = candidate.evidence.get(precision, Evidence())
        features = opened.features(exam.items)
        expected = at_temperature(exam.torch_answers(features), features, known)
        got = [answer_of(row) for row in opened.rows(features)]
        parity = bounds.parity.check(precision, expected, got)
        story.say(
            f"{precision}: parity passed ({parity.max_abs_diff:.1e}, "
            f"{parity.agreement:.2%} of {parity.items} the same)"
        )
        invariance = bounds.invariance.check(precision, answers_of(opened), features)
        story.say(
            f"{precision}: invariance passed ({invariance.max_abs_diff:.1e}, "
            f"{invariance.agreement:.2%} of {invariance.items} the same)"
        )
        measured = exam.measure(opened)
        for figure in measured:
            story.say(f"{precision}: {figure.metric} {figure.value:.4f} on {figure.dataset}")
        reference = reference or measured
        accuracy = exam.accuracy.check(precision, measured, reference)
        candidate.evidence[precision] = known.model_copy(
            update={
                "parity": parity,
                "invariance": invariance,
                "accuracy": with_losses(accuracy, () if precision == "fp32" else reference),
                "timing": timing(opened, features, max_tokens),
            }
        )


def at_temperature(
    answers: Sequence[Answer], features: Sequence[Any], evidence: Evidence
) -> Sequence[Answer]:
    """Probabilities as they are when their logits are divided as the variant's graph does."""
    temperature = temperature_of(evidence)
    if temperature is None:
        return answers
    plain_NK = np.log(np.maximum(np.stack([one.values for one in answers]), RARE))
    rows = softmax(temperature.applied(plain_NK, token_counts(features)))
    return [replace(one, values=row) for one, row in zip(answers, rows, strict=True)]


def with_losses(
    measured: Sequence[Measurement], reference: Sequence[Measurement]
) -> tuple[Measurement, ...]:
    """Each figure with what it lacks against fp32's, where there is one."""
    best = {(one.dataset, one.split, one.metric): one.value for one in reference}
    return tuple(
        one.model_copy(update={"below_fp32": round(best[key] - one.value, 6)})
        if (key := (one.dataset, one.split, one.metric)) in best
        else one
        for one in measured
    )


def answers_of(opened: OpenedVariant) -> Callable[[Sequence[object]], Sequence[Answer]]:
    """The variant as the gates run it."""
    return lambda features: [answer_of(row) for row in opened.runner.run(features)]

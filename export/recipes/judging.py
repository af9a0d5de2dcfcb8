"""The middle of every recipe: each variant through the three gates, its evidence kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from export.candidate import Candidate, OpenedVariant, answer_of
from export.console import Story
from export.gates import AccuracyGate, Answer, InvarianceGate, ParityGate
from model_zoo.manifest import Evidence, Measurement, Precision


@dataclass(frozen=True)
class Gates:
    """The bounds of one variant."""

    parity: ParityGate
    invariance: InvarianceGate


@dataclass(frozen=True)
class Examination:
    """What the gates need: items to compare, torch's answers, and how to measure quality."""

    items: Sequence[Any]
    torch_answers: Callable[[Sequence[Any]], Sequence[Answer]]
    measure: Callable[[OpenedVariant], tuple[Measurement, ...]]
    accuracy: AccuracyGate


def examine(
    candidate: Candidate, gates: dict[Precision, Gates], exam: Examination, story: Story
) -> None:
    """Put every variant, fp32 first, through all gates; raises the error of the first that fails.

    `torch_answers` is given features, as the serving task made them.
    """
    reference: tuple[Measurement, ...] = ()
    for precision in sorted(candidate.graphs, key=lambda name: name != "fp32"):
        opened, bounds = candidate.open(precision), gates[precision]
        features = opened.features(exam.items)
        expected = exam.torch_answers(features)
        got = [answer_of(row) for row in opened.rows(features)]
        parity = bounds.parity.check(precision, expected, got)
        story.say(
            f"{precision}: parity passed ({parity.max_abs_diff:.1e}, "
            f"{parity.agreement:.2%} of {parity.items} the same)"
        )
        invariance = bounds.invariance.check(precision, _runner(opened), features)
        story.say(
            f"{precision}: invariance passed ({invariance.max_abs_diff:.1e}, "
            f"{invariance.agreement:.2%} of {invariance.items} the same)"
        )
        measured = exam.measure(opened)
        for figure in measured:
            story.say(f"{precision}: {figure.metric} {figure.value:.4f} on {figure.dataset}")
        reference = reference or measured
        accuracy = exam.accuracy.check(precision, measured, reference)
        candidate.evidence[precision] = Evidence(
            parity=parity, invariance=invariance, accuracy=accuracy
        )


def _runner(opened: OpenedVariant) -> Callable[[Sequence[object]], Sequence[Answer]]:
    return lambda features: [answer_of(row) for row in opened.runner.run(features)]

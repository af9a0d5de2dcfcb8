from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from export.candidate import Candidate, OpenedVariant, answer_of, draft
from export.console import Story
from export.convert.tempered import tempered
from export.convert.text_graph import text_graph
from export.gates import (
    AccuracyFailed,
    AccuracyGate,
    Answer,
    Floor,
    InvarianceFailed,
    InvarianceGate,
    ParityFailed,
    ParityGate,
)
from export.quantize.text import quantize_text
from export.recipes.judging import Examination, Gates, examine
from export.temperature import Temperature
from export.tokens import train_review_tokenizer
from model_zoo.manifest import Evidence, Measurement, Precision, TextInput
from tests.export.tiny_networks import TEXTS, text_network
from tests.model_zoo.samples import PROVENANCE

ITEMS = ["a good film", "bad", "the film was not good, it was bad and very long", "good good"]
LOOSE = Gates(ParityGate(0.2, 0.5), InvarianceGate(1e-4, 1.0))
GATES: dict[Precision, Gates] = {
    "fp32": Gates(ParityGate(1e-4, 1.0), InvarianceGate(1e-4, 1.0)),
    "int8": LOOSE,
}


@pytest.fixture
def candidate() -> Candidate:
    """int8 stands first, so that the order of judging is the judge's own."""
    fp32 = text_graph(text_network())
    made = draft(
        {"fp32": {"model": fp32}, "int8": {"model": quantize_text(fp32)}},
        {"tokenizer.json": train_review_tokenizer(ITEMS, TEXTS.vocabulary).to_str().encode()},
        name="reviews",
        version=1,
        task="text-classification",
        description="for tests",
        labels=("a", "b", "c"),
        preprocessing=TextInput(max_tokens=16, pad_id=0),
        provenance=PROVENANCE,
    )
    return replace(made, graphs={"int8": made.graphs["int8"], "fp32": made.graphs["fp32"]})


@torch.no_grad()
def torch_answers(features: Sequence[Any]) -> Sequence[Answer]:
    network = text_network()
    return [answer_of(network(torch.from_numpy(f.ids)[None])[0].numpy()) for f in features]


def figure(value: float) -> Measurement:
    return Measurement(dataset="d", split="test", metric="accuracy", value=value, items=4)


def examination(*values: float) -> Examination:
    """An exam whose measure gives these values, one a variant."""
    remaining = iter(values)

    def measure(opened: OpenedVariant) -> tuple[Measurement, ...]:
        assert len(opened.predict(ITEMS)) == len(ITEMS)
        return (figure(next(remaining)),)

    floor = Floor("d", "accuracy", at_least=0.5, largest_loss=0.1)
    return Examination(ITEMS, torch_answers, measure, AccuracyGate((floor,)))


def judge(
    candidate: Candidate, exam: Examination, gates: dict[Precision, Gates] | None = None
) -> None:
    examine(candidate, gates or GATES, exam, Story("test"))


def test_fp32_is_judged_first_and_is_what_the_others_are_held_against(
    candidate: Candidate,
) -> None:
    judge(candidate, examination(0.9, 0.85))
    values = {p: evidence.accuracy[0].value for p, evidence in candidate.evidence.items()}
    assert list(values.items()) == [("fp32", 0.9), ("int8", 0.85)]


def test_evidence_of_every_gate_is_kept_for_every_variant(candidate: Candidate) -> None:
    judge(candidate, examination(0.9, 0.9))
    for precision in ("fp32", "int8"):
        evidence = candidate.evidence[precision]
        assert evidence.parity is not None
        assert evidence.invariance is not None
        assert evidence.parity.items == evidence.invariance.items == len(ITEMS)
    assert candidate.evidence["fp32"].parity != candidate.evidence["int8"].parity


def test_a_variant_that_loses_too_much_against_fp32_ends_the_judging(candidate: Candidate) -> None:
    with pytest.raises(AccuracyFailed, match=r"int8: accuracy on d is 0\.75, fp32 reaches 0\.9;"):
        judge(candidate, examination(0.9, 0.75))
    assert list(candidate.evidence) == ["fp32"]


def test_fp32_below_the_floor_ends_the_judging_before_int8_is_looked_at(
    candidate: Candidate,
) -> None:
    with pytest.raises(AccuracyFailed, match=r"fp32: accuracy on d is 0\.4"):
        judge(candidate, examination(0.4))
    assert not candidate.evidence


def test_a_graph_of_other_weights_than_the_network_fails_parity(candidate: Candidate) -> None:
    other = text_graph(text_network(seed=1)).SerializeToString()
    wrong = replace(candidate, graphs={"fp32": {"model": other}})
    with pytest.raises(ParityFailed, match="fp32: parity with torch on 4 items"):
        judge(wrong, examination(0.9))


def test_int8_answers_to_its_own_bounds(candidate: Candidate) -> None:
    strict = replace(LOOSE, parity=ParityGate(1e-9, 1.0))
    with pytest.raises(ParityFailed, match="int8: parity"):
        judge(candidate, examination(0.9, 0.9), {**GATES, "int8": strict})


def test_the_invariance_gate_is_asked_too(candidate: Candidate) -> None:
    impossible = replace(LOOSE, invariance=InvarianceGate(-1.0, 1.0))
    with pytest.raises(InvarianceFailed, match="fp32: invariance"):
        judge(candidate, examination(0.9), {**GATES, "fp32": impossible})


def test_the_story_tells_what_passed_with_its_numbers(
    candidate: Candidate, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(candidate, examination(0.9, 0.9))
    told = capsys.readouterr().err
    for words in ("fp32: parity passed", "int8: invariance passed", "accuracy 0.9000 on d"):
        assert words in told
    assert np.isfinite(candidate.evidence["int8"].accuracy[0].value)


def tempered_by_length(candidate: Candidate, told: Evidence) -> Candidate:
    """Its graphs take smoothing off and divide by a temperature that goes with the length; `told`
    is what they promise."""
    inside = Temperature(1.5, -0.4, 0.1)
    graphs: Any = {
        precision: {role: tempered(graph, inside) for role, graph in roles.items()}
        for precision, roles in candidate.graphs.items()
    }
    return replace(candidate, graphs=graphs, evidence={"fp32": told, "int8": told})


def test_torch_is_divided_by_the_same_temperature_of_each_text(candidate: Candidate) -> None:
    told = Evidence(temperature=1.5, length_exponent=-0.4, smoothing=0.1)
    made = tempered_by_length(candidate, told)
    judge(made, examination(0.9, 0.9))
    kept = made.evidence["fp32"]
    assert kept.parity is not None
    assert (kept.temperature, kept.length_exponent) == (1.5, -0.4)


@pytest.mark.parametrize(
    "told",
    [
        Evidence(temperature=1.5, length_exponent=0.4, smoothing=0.1),
        Evidence(temperature=1.5, length_exponent=-0.4),
    ],
)
def test_a_graph_that_divides_by_something_else_than_it_tells_fails_parity(
    candidate: Candidate, told: Evidence
) -> None:
    wrong = tempered_by_length(candidate, told)
    with pytest.raises(ParityFailed):
        judge(wrong, examination(0.9, 0.9))

import math
import re
from collections.abc import Sequence

import numpy as np
import pytest

from export.gates import (
    AccuracyFailed,
    AccuracyGate,
    Answer,
    Floor,
    GateFailed,
    InvarianceFailed,
    InvarianceGate,
    ParityFailed,
    ParityGate,
    PiecesFailed,
    PiecesGate,
    compare,
)
from model_zoo.manifest import Measurement

NOT_FINITE = (math.nan, math.inf, -math.inf)


def label(choice: int, *values: float) -> Answer:
    return Answer(np.array(values), (choice,))


def sentence(score: float, *tokens: int) -> Answer:
    return Answer(np.array([score]), tokens)


def figure(value: float, metric: str = "accuracy", dataset: str = "IMDB") -> Measurement:
    """Unchecked, so that it may hold what a gate must refuse."""
    return Measurement.model_construct(
        dataset=dataset, split="test", metric=metric, value=value, items=10
    )


def test_the_greatest_difference_of_any_number_counts() -> None:
    expected = [label(0, 0.9, 0.1), label(1, 0.2, 0.8)]
    found = compare(expected, [label(0, 0.9, 0.1), label(1, 0.25, 0.75)])
    assert found.max_abs == pytest.approx(0.05)
    assert (found.agreement, found.items) == (1.0, 2)


def test_another_class_counts_against_the_agreement_and_its_numbers_count_too() -> None:
    found = compare([label(0, 0.6, 0.4)] * 4, [label(0, 0.6, 0.4)] * 3 + [label(1, 0.4, 0.6)])
    assert found.agreement == 0.75
    assert found.max_abs == pytest.approx(0.2)


def test_the_score_of_another_sentence_is_no_error_of_arithmetic() -> None:
    found = compare([sentence(-1, 5, 6), sentence(-2, 7)], [sentence(-1, 5, 6), sentence(-9, 8, 9)])
    assert found.max_abs == 0
    assert found.agreement == 0.5


def test_where_no_sentence_is_the_same_nothing_was_compared() -> None:
    assert compare([sentence(-1, 5, 6)], [sentence(-1, 5, 7)]).max_abs == math.inf


@pytest.mark.parametrize("bad", NOT_FINITE)
def test_a_number_that_is_not_finite_is_an_infinite_difference(bad: float) -> None:
    good = label(0, 0.9, 0.1)
    assert compare([good, good], [good, label(0, 0.9, bad)]).max_abs == math.inf
    assert compare([good, label(0, bad, 0.1)], [good, good]).max_abs == math.inf
    assert compare([label(0, bad)], [label(0, bad)]).max_abs == math.inf


@pytest.mark.parametrize("bad", NOT_FINITE)
def test_a_score_that_is_not_finite_counts_for_another_sentence_too(bad: float) -> None:
    same = sentence(-1, 5, 6)
    assert compare([same, sentence(-1, 7)], [same, sentence(bad, 8, 9)]).max_abs == math.inf


def test_a_missing_number_is_an_infinite_difference() -> None:
    assert compare([label(0, 0.5, 0.5)], [label(0, 0.5)]).max_abs == math.inf
    assert compare([label(0)], [label(0)]).max_abs == math.inf


def test_no_items_prove_nothing() -> None:
    found = compare([], [])
    assert (found.max_abs, found.agreement, found.items) == (math.inf, 0.0, 0)


def test_a_missing_item_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compare([label(0, 1.0)] * 2, [label(0, 1.0)])


def test_parity_passes_at_its_bounds_and_keeps_the_numbers() -> None:
    expected = [label(0, 1.0, 0.0)] * 3 + [label(1, 0.0, 1.0)]
    got = [label(0, 1.0, 0.0)] * 3 + [label(0, 0.5, 0.5)]
    found = ParityGate(tolerance=0.5, agreement=0.75).check("int8", expected, got)
    assert (found.max_abs_diff, found.tolerance) == (0.5, 0.5)
    assert (found.agreement, found.items) == (0.75, 4)


def test_parity_fails_beyond_the_tolerance_and_says_both_numbers() -> None:
    with pytest.raises(ParityFailed, match=r"int8: parity .* 1 items.* 2\.00e-01, allowed 1\.00e-"):
        ParityGate(0.1, 1.0).check("int8", [label(0, 0.9)], [label(0, 0.7)])


def test_parity_fails_when_too_few_choose_the_same_and_says_both_shares() -> None:
    expected = [label(0, 0.5, 0.5)] * 4
    got = [label(1, 0.5, 0.5)] * 3 + [label(0, 0.5, 0.5)]
    with pytest.raises(ParityFailed, match=r"25\.00% the same answer, at least 98\.00% asked"):
        ParityGate(0.1, 0.98).check("fp32", expected, got)


@pytest.mark.parametrize("bad", NOT_FINITE)
def test_no_tolerance_is_wide_enough_for_a_number_that_is_not_finite(bad: float) -> None:
    with pytest.raises(ParityFailed, match="differ by inf"):
        ParityGate(1e300, 0.0).check("fp32", [label(0, 0.5)], [label(0, bad)])


def test_parity_of_nothing_fails() -> None:
    with pytest.raises(ParityFailed, match="0 items"):
        ParityGate(1.0, 0.0).check("fp32", [], [])


def alone(items: Sequence[object]) -> list[Answer]:
    return [label(0, float(str(item))) for item in items]


def test_invariance_passes_when_company_changes_nothing() -> None:
    found = InvarianceGate(1e-6, 1.0, sizes=(2, 3)).check("fp32", alone, range(5))
    assert (found.max_abs_diff, found.agreement, found.items) == (0, 1, 5)
    assert found.sizes == (2, 3)


def test_every_item_runs_alone_and_in_batches_of_every_size() -> None:
    calls: list[list[object]] = []

    def run(items: Sequence[object]) -> list[Answer]:
        calls.append(list(items))
        return alone(items)

    InvarianceGate(0, 1.0, sizes=(2, 4)).check("fp32", run, range(5))
    assert calls[:5] == [[0], [1], [2], [3], [4]]
    assert calls[5:] == [[0, 1], [2, 3], [4], [0, 1, 2, 3], [4]]


def test_few_items_are_repeated_until_the_largest_batch_is_full() -> None:
    calls: list[list[object]] = []

    def run(items: Sequence[object]) -> list[Answer]:
        calls.append(list(items))
        return alone(items)

    found = InvarianceGate(0, 1.0, sizes=(2, 5)).check("fp32", run, range(2))
    assert calls[:2] == [[0], [1]]
    assert calls[2:] == [[0, 1], [0, 1], [0], [0, 1, 0, 1, 0]]
    assert found.items == 2


def test_invariance_fails_when_one_item_of_a_batch_moves() -> None:
    def run(items: Sequence[object]) -> list[Answer]:
        rows = alone(items)
        return [*rows[:-1], label(0, float(rows[-1].values[0]) + 0.1 * (len(items) == 3))]

    InvarianceGate(1e-3, 1.0, sizes=(2, 4)).check("int8", run, range(4))
    with pytest.raises(InvarianceFailed, match=r"int8: .* batches of 2, 3: .* 1\.00e-01, allowed"):
        InvarianceGate(1e-3, 1.0, sizes=(2, 3)).check("int8", run, range(4))


def test_invariance_keeps_the_worst_of_all_sizes() -> None:
    def run(items: Sequence[object]) -> list[Answer]:
        return [label(0, {1: 0.0, 2: 0.3, 3: 0.1}.get(len(items), 0.0)) for _ in items]

    assert InvarianceGate(0.4, 1.0, sizes=(2, 3)).check("x", run, range(6)).max_abs_diff == 0.3


def test_invariance_fails_when_an_answer_changes_in_company() -> None:
    def run(items: Sequence[object]) -> list[Answer]:
        return [sentence(-1, 4 if len(items) == 1 or item else 5, 6) for item in items]

    with pytest.raises(InvarianceFailed, match=r"75\.00% the same answer, at least 100\.00% asked"):
        InvarianceGate(1.0, 1.0, sizes=(2,)).check("int8", run, range(4))


def test_invariance_of_nothing_fails() -> None:
    with pytest.raises(InvarianceFailed):
        InvarianceGate(1.0, 0.0).check("fp32", alone, [])


FLOOR = Floor("IMDB", "accuracy", at_least=0.87, largest_loss=0.005)


def test_accuracy_passes_at_its_floor_and_at_its_largest_loss() -> None:
    gate = AccuracyGate((FLOOR,))
    assert gate.check("fp32", [figure(0.87)], [figure(0.87)]) == (figure(0.87),)
    exact = AccuracyGate((Floor("IMDB", "accuracy", at_least=0.5, largest_loss=0.125),))
    exact.check("int8", [figure(0.75)], [figure(0.875)])


def test_accuracy_below_its_floor_fails_and_says_both_numbers() -> None:
    with pytest.raises(AccuracyFailed, match=r"fp32: accuracy on IMDB is 0\.8699, at least 0\.87 "):
        AccuracyGate((FLOOR,)).check("fp32", [figure(0.8699)], [figure(0.8699)])


def test_losing_too_much_against_fp32_fails_and_says_the_numbers() -> None:
    with pytest.raises(AccuracyFailed, match=r"is 0\.88, fp32 reaches 0\.89; it may lose 0\.005"):
        AccuracyGate((FLOOR,)).check("int8", [figure(0.88)], [figure(0.89)])


def test_being_better_than_fp32_is_no_loss() -> None:
    AccuracyGate((FLOOR,)).check("int8", [figure(0.95)], [figure(0.88)])


@pytest.mark.parametrize("which", ["measured", "reference"])
def test_an_accuracy_that_is_not_a_number_fails(which: str) -> None:
    nan, good = [figure(math.nan)], [figure(0.9)]
    measured, reference = (nan, good) if which == "measured" else (good, nan)
    with pytest.raises(AccuracyFailed, match="nan"):
        AccuracyGate((FLOOR,)).check("int8", measured, reference)


@pytest.mark.parametrize(
    "measured",
    [[], [figure(0.99, metric="loss")], [figure(0.99, dataset="SST-2")]],
    ids=["nothing", "another metric", "another data set"],
)
def test_a_figure_that_was_not_measured_fails(measured: list[Measurement]) -> None:
    with pytest.raises(AccuracyFailed, match="accuracy on IMDB was not measured"):
        AccuracyGate((FLOOR,)).check("fp32", measured, [figure(0.9)])
    with pytest.raises(AccuracyFailed, match="accuracy on IMDB was not measured"):
        AccuracyGate((FLOOR,)).check("int8", [figure(0.9)], measured)


def test_every_floor_must_be_reached() -> None:
    floors = (FLOOR, Floor("SST-2", "accuracy", at_least=0.82, largest_loss=0.005))
    measured = [figure(0.9), figure(0.8, dataset="SST-2")]
    with pytest.raises(AccuracyFailed, match=re.escape("on SST-2 is 0.8, at least 0.82")):
        AccuracyGate(floors).check("fp32", measured, measured)


def test_each_gate_has_an_error_of_its_own_that_the_command_line_knows() -> None:
    kinds = {ParityFailed, AccuracyFailed, InvarianceFailed, PiecesFailed}
    assert set(GateFailed.__subclasses__()) == kinds


def test_a_cut_network_must_answer_as_in_one_piece() -> None:
    whole = [label(0, 0.9, 0.1), label(1, 0.2, 0.8)]
    close = [label(0, 0.90004, 0.09996), label(1, 0.2, 0.8)]
    assert PiecesGate().check("int8", whole, close).items == 2
    for wrong in (label(0, 0.9002, 0.0998), label(1, 0.9, 0.1), label(0, math.nan, 0.1)):
        with pytest.raises(PiecesFailed, match="int8: reader and head against the whole graph"):
            PiecesGate().check("int8", whole, [wrong, whole[1]])

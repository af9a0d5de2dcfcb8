import numpy as np
import pytest

from export.calibration import (
    auroc,
    confidence_scores,
    logsumexp,
)


def test_the_scores_are_those_of_their_definitions() -> None:
    found = confidence_scores(np.array([[0.8, 0.2], [0.6, 0.4]]), np.array([0, 1]))
    assert found.nll == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)
    assert found.brier == pytest.approx((0.08 + 0.72) / 2)
    assert found.ece == pytest.approx((0.2 + 0.6) / 2)


def test_a_probability_of_nothing_costs_much_but_not_everything() -> None:
    assert confidence_scores(np.array([[1.0, 0.0]]), np.array([1])).nll == pytest.approx(27.6, 0.01)


def test_logsumexp_does_not_overflow() -> None:
    assert logsumexp(np.array([[1000.0, 1000.0]])) == pytest.approx([1000 + np.log(2)])


def test_auroc_is_the_chance_that_the_strange_one_scores_higher() -> None:
    assert auroc(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1.0
    assert auroc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 0.0
    assert auroc(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.5
    assert auroc(np.array([1.0, 3.0]), np.array([2.0])) == 0.5

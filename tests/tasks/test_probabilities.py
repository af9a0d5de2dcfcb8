import numpy as np
import pytest

from service.errors import InferenceFailed
from service.tasks.probabilities import softmax


def test_probabilities_add_up_and_keep_the_ratios() -> None:
    found = softmax(np.log(np.array([1, 2, 5], np.float32)), 3)
    assert np.allclose(found, [0.125, 0.25, 0.625])
    assert found.sum() == pytest.approx(1)


def test_great_scores_do_not_overflow() -> None:
    assert softmax(np.array([1e30, -1e30, 0], np.float32), 3).tolist() == [1, 0, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_the_models_fault(bad: float) -> None:
    with pytest.raises(InferenceFailed, match="no numbers"):
        softmax(np.array([0, bad], np.float32), 2)


def test_a_row_of_another_length_is_the_models_fault() -> None:
    with pytest.raises(InferenceFailed, match="2 labels"):
        softmax(np.zeros(3, np.float32), 2)

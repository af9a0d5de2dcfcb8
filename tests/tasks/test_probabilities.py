import numpy as np
import pytest

from service.errors import InferenceFailed
from service.tasks.probabilities import FEW_CLASSES, softmax

MANY = FEW_CLASSES + 1


def row(*logits: float, classes: int = 3) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """These logits, and behind them those of classes that cannot be."""
    return np.array([*logits, *[-1e30] * (classes - len(logits))], np.float32)


@pytest.mark.parametrize("classes", [3, MANY])
def test_probabilities_add_up_and_keep_the_ratios(classes: int) -> None:
    found, highest_logit = softmax(row(*np.log([1, 2, 5]), classes=classes), classes)
    assert found[:3] == pytest.approx([0.125, 0.25, 0.625])
    assert sum(found) == pytest.approx(1)
    assert len(found) == classes
    assert highest_logit == pytest.approx(np.log(5))


@pytest.mark.parametrize("classes", [3, MANY])
def test_great_scores_do_not_overflow(classes: int) -> None:
    found = softmax(row(1e30, -1e30, 0, classes=classes), classes)
    assert found.of_each == [1.0] + [0.0] * (classes - 1)


@pytest.mark.parametrize("classes", [2, MANY])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_the_models_fault(bad: float, classes: int) -> None:
    with pytest.raises(InferenceFailed, match="no numbers"):
        softmax(row(0, bad, classes=classes), classes)


@pytest.mark.parametrize("shape", [(3,), (1, 2), ()])
def test_a_row_of_another_shape_is_the_models_fault(shape: tuple[int, ...]) -> None:
    with pytest.raises(InferenceFailed, match="2 labels"):
        softmax(np.zeros(shape, np.float32), 2)

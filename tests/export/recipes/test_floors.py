"""What a model of own data must reach: more than guessing does, and never more than is possible."""

import numpy as np
import pytest

from export.datasets.rows import LabelledImages, LabelledTexts, Labels
from export.recipes.image_classification import _floor
from export.recipes.image_data import ImageData
from export.recipes.sentiment import _own_floors
from export.recipes.sentiment_data import SentimentData

NAMES = ("often", "seldom")


def labels(frequent: int) -> Labels:
    """A hundred, this many of them of one class."""
    return np.repeat([0, 1], [frequent, 100 - frequent]).astype(np.int64)


@pytest.mark.parametrize(("frequent", "least"), [(50, 0.65), (80, 0.9), (90, 0.95)])
def test_pictures_of_a_frequent_class_ask_for_no_more_than_can_be_reached(
    frequent: int, least: float
) -> None:
    rows = LabelledImages(np.zeros((100, 1, 1, 3), np.uint8), labels(frequent), NAMES)
    found = _floor(ImageData("own", rows, rows, rows, is_public=False))
    assert found.at_least == pytest.approx(least)


@pytest.mark.parametrize(("frequent", "least"), [(60, 0.63), (96, 0.98), (98, 0.99)])
def test_texts_of_a_frequent_class_ask_for_no_more_than_can_be_reached(
    frequent: int, least: float
) -> None:
    rows = LabelledTexts(["text"] * 100, labels(frequent), NAMES)
    named = (("own", rows),)
    (found,) = _own_floors(SentimentData(rows, named, named, [], is_public=False))
    assert found.at_least == pytest.approx(least)

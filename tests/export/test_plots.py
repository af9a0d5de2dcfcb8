import io

import numpy as np
import pytest
from PIL import Image

from export import plots

NAMES = [f"class {i}" for i in range(10)]
GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, 10, 500)
PROBABILITIES = GENERATOR.dirichlet(np.ones(10), 500)
PREDICTIONS = PROBABILITIES.argmax(axis=1)
HISTORY = [{"epoch": i + 1.0, "loss": 1 / (i + 1), "accuracy": i / 9} for i in range(9)]

DRAWINGS = {
    "curves": lambda: plots.training_curves(HISTORY),
    "confusion": lambda: plots.confusion_matrix(LABELS, PREDICTIONS, NAMES),
    "confusion of 200": lambda: plots.confusion_matrix(
        LABELS * 20, PREDICTIONS * 20, [f"c{i}" for i in range(200)]
    ),
    "confusion of odd names": lambda: plots.confusion_matrix(
        LABELS % 2, LABELS % 2, ["$\\x$", "_"]
    ),
    "reliability": lambda: plots.reliability(PROBABILITIES, LABELS),
    "classes": lambda: plots.class_accuracy(LABELS, PREDICTIONS, NAMES),
    "classes with odd names": lambda: plots.class_accuracy(LABELS % 2, LABELS % 2, ["$\\x$", "_"]),
    "lengths": lambda: plots.score_by_length([plots.LengthBin("< 5", 31.2, 400)], "BLEU"),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_each_drawing_is_a_small_png(name: str) -> None:
    png = DRAWINGS[name]()
    assert len(png) < 60_000
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        assert min(image.size) >= 100
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 1


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert plots.reliability(PROBABILITIES, LABELS) == plots.reliability(PROBABILITIES, LABELS)


def test_calibration_error_is_the_gap_of_confidence_and_accuracy() -> None:
    confident = np.tile([0.9, 0.1], (10, 1))
    assert plots.calibration_error(confident, np.array([0] * 9 + [1])) == pytest.approx(0.0)
    assert plots.calibration_error(confident, np.array([0] * 5 + [1] * 5)) == pytest.approx(0.4)


def test_calibration_error_weighs_bins_by_their_items() -> None:
    probabilities = np.array([[1.0, 0.0]] * 3 + [[0.6, 0.4]])
    # three sure and right, one at 0.6 and wrong
    assert plots.calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0.15)


def test_lengths_fall_into_the_range_they_belong_to() -> None:
    bins = plots.length_bins([1, 4, 5, 9, 10, 50], [5, 10, 40, 50], lambda rows: float(sum(rows)))
    assert [(b.title, b.score, b.items) for b in bins] == [
        ("< 5", 1.0, 2),
        ("5–9", 5.0, 2),
        ("10–39", 4.0, 1),
        ("≥ 50", 5.0, 1),
    ]

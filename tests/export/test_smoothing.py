import numpy as np
import pytest

from export.calibration import Floats, logsumexp, softmax
from export.smoothing import smoothed, unsmoothed

SHARE = 0.15


def honest_logits(rows: int = 300, classes: int = 10, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(0, 2, (rows, classes))


def blurred(logits_NK: Floats, share: float) -> Floats:
    """What a network says that learned from smoothed labels; its energy is another, too."""
    p = (1 - share) * softmax(logits_NK) + share / logits_NK.shape[1]
    return np.log(p) + np.linspace(-3, 3, len(p))[:, None]


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_what_smoothing_did_to_likely_classes_is_undone(classes: int) -> None:
    logits = honest_logits(classes=classes)
    found, honest = softmax(unsmoothed(blurred(logits, SHARE), SHARE)), softmax(logits)
    assert found == pytest.approx(honest, abs=0.03)
    assert found.argmax(axis=1).tolist() == honest.argmax(axis=1).tolist()


def test_without_a_share_nothing_changes() -> None:
    logits = honest_logits()
    assert unsmoothed(logits, 0.0) is logits
    assert smoothed(logits, 0.0) is logits
    assert unsmoothed(logits, 1e-9) == pytest.approx(logits, abs=1e-4)


def test_the_order_of_classes_below_the_level_stays() -> None:
    logits = np.array([[8.0, -30.0, -2.0, -5.0, -6.0, 0.1]])
    found = unsmoothed(logits, SHARE)
    assert np.isfinite(found).all()
    assert found.argsort().tolist() == logits.argsort().tolist()
    assert softmax(found).min() > 1e-5  # noise below the level is no reason to be certain


def test_the_energy_of_an_answer_stays_but_for_one_number() -> None:
    logits = blurred(honest_logits(), SHARE)
    lost = logsumexp(logits) - logsumexp(unsmoothed(logits, SHARE))
    assert lost == pytest.approx(-np.log(1 - SHARE), abs=0.03)


@pytest.mark.parametrize("share", [0.01, 0.15, 0.39])
def test_smoothing_is_put_back_exactly(share: float) -> None:
    for logits in (honest_logits(), 4 * honest_logits(classes=2), np.array([[90.0, -20, 3]])):
        again = smoothed(unsmoothed(logits, share), share)
        assert softmax(again) == pytest.approx(softmax(logits), abs=1e-9)
        assert logsumexp(again) == pytest.approx(logsumexp(logits))

import numpy as np
import pytest

from export.calibration import Floats, Labels, confidence_scores, softmax
from export.temperature import (
    Judged,
    Temperature,
    fit_temperature,
    temperature_of,
    token_counts,
)
from model_zoo.evidence import Evidence
from service.tasks.text import Encoding


def honest(rows: int = 4000, seed: int = 0) -> tuple[Floats, Labels]:
    """Logits whose softmax is the very distribution that the labels were drawn from."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (rows, 4))
    chances = softmax(logits).cumsum(axis=1)
    labels = (generator.random(rows)[:, None] > chances).sum(axis=1)
    return logits, labels.clip(0, 3)


def of_lengths(truth: Temperature, rows: int = 4000, seed: int = 0) -> Judged:
    """What a model says whose logits are too large by this temperature."""
    logits, labels = honest(rows, seed)
    tokens = np.random.default_rng(seed).integers(2, 512, rows).astype(np.float64)
    return Judged(logits * truth.of(tokens)[:, None], labels, tokens)


@pytest.mark.parametrize("factor", [0.3, 1.0, 2.5])
def test_the_temperature_undoes_what_the_logits_were_multiplied_by(factor: float) -> None:
    logits, labels = honest()
    found = fit_temperature([Judged(logits * factor, labels)])
    assert found.value == pytest.approx(factor, rel=0.06)
    assert found.exponent == 0.0


def test_a_fitted_temperature_lowers_every_score_of_an_overconfident_model() -> None:
    logits, labels = honest()
    found = fit_temperature([Judged(3 * logits, labels)])
    before = confidence_scores(softmax(3 * logits), labels)
    after = confidence_scores(softmax(3 * logits / found.value), labels)
    assert after.ece < 0.02 < before.ece
    assert after.nll < before.nll
    assert after.brier < before.brier


@pytest.mark.parametrize("exponent", [-0.3, 0.25, 0.7])
def test_what_goes_with_the_length_is_found(exponent: float) -> None:
    found = fit_temperature([of_lengths(Temperature(1.4, exponent))])
    assert found.value == pytest.approx(1.4, rel=0.06)
    assert found.exponent == pytest.approx(exponent, abs=0.06)


def test_a_length_that_tells_nothing_is_left_alone() -> None:
    part = of_lengths(Temperature(1.4))
    assert fit_temperature([part]).exponent == 0.0
    equally_long = Judged(part.logits_NK, part.labels, np.full(len(part.labels), 7.0))
    assert fit_temperature([equally_long]).exponent == 0.0


def test_a_handful_of_texts_is_too_few_to_tell() -> None:
    assert fit_temperature([of_lengths(Temperature(1.4, 0.3), rows=12)]).exponent == 0.0


def smooth(share: float, rows: int = 4000) -> Judged:
    """What a network says that learned from labels of which this share was spread."""
    logits, labels = honest(rows)
    return Judged(np.log((1 - share) * softmax(logits) + share / logits.shape[1]), labels)


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_the_smoothing_that_training_left_is_found_and_taken_off(share: float) -> None:
    part = smooth(share)
    found = fit_temperature([part])
    assert found.smoothing == pytest.approx(share, abs=0.03)
    assert found.value == pytest.approx(1, rel=0.1)
    plain = softmax(part.logits_NK / fit_temperature_alone(part))
    after = confidence_scores(softmax(found.applied(part.logits_NK, None)), part.labels)
    assert after.nll < confidence_scores(plain, part.labels).nll
    assert after.ece < 0.02


def fit_temperature_alone(part: Judged) -> float:
    tried = np.linspace(0.3, 2, 200)
    losses = [
        confidence_scores(softmax(part.logits_NK / value), part.labels).nll for value in tried
    ]
    return float(tried[int(np.argmin(losses))])


def test_no_smoothing_is_found_where_there_is_none_or_too_little_to_tell() -> None:
    assert fit_temperature([smooth(0.0)]).smoothing == 0.0
    assert fit_temperature([smooth(0.2, rows=12)]).smoothing == 0.0


def test_smoothing_and_length_are_found_together() -> None:
    logits, labels = honest()
    tokens = of_lengths(Temperature(1.0)).tokens
    truth = Temperature(1.4, 0.4, 0.2)
    found = fit_temperature([Judged(truth.undone(logits, tokens), labels, tokens)])
    assert found.smoothing == pytest.approx(truth.smoothing, abs=0.06)
    assert found.exponent == pytest.approx(truth.exponent, abs=0.06)
    again = softmax(found.applied(truth.undone(logits, tokens), tokens))
    best = confidence_scores(softmax(logits), labels)
    assert confidence_scores(again, labels).nll == pytest.approx(best.nll, abs=0.02)


def test_every_data_set_counts_the_same_however_large() -> None:
    warm, cold = of_lengths(Temperature(2.0), 800), of_lengths(Temperature(1.2), 800, seed=1)
    many = Judged(*(np.concatenate([x] * 5) for x in (warm.logits_NK, warm.labels)))
    plain = [Judged(part.logits_NK, part.labels) for part in (warm, cold)]
    assert fit_temperature([many, plain[1]]) == fit_temperature(plain)
    pooled = Judged(
        np.concatenate([many.logits_NK, cold.logits_NK]),
        np.concatenate([many.labels, cold.labels]),
    )
    assert fit_temperature([pooled]).value > 1.1 * fit_temperature(plain).value


def test_one_data_set_without_lengths_leaves_all_without() -> None:
    part = of_lengths(Temperature(1.4, 0.5))
    assert fit_temperature([part, Judged(part.logits_NK, part.labels)]).exponent == 0.0


def test_a_temperature_is_told_for_a_hundred_tokens_and_is_never_below_nothing() -> None:
    found = Temperature(1.3, -0.5).of(np.array([1.0, 25, 100, 400, 1e6]))
    assert found == pytest.approx([13.0, 2.6, 1.3, 0.65, 0.013])
    assert Temperature(1.3).of(np.array([1.0, 400])).tolist() == [1.3, 1.3]
    assert Temperature(1.3).of(None).tolist() == [1.3]


def test_evidence_gives_back_what_lies_in_the_graph() -> None:
    assert temperature_of(Evidence()) is None
    assert temperature_of(Evidence(temperature=1.3)) == Temperature(1.3)
    found = temperature_of(Evidence(temperature=1.3, length_exponent=-0.1))
    assert found == Temperature(1.3, -0.1)
    found = temperature_of(Evidence(temperature=1.3, smoothing=0.1))
    assert found == Temperature(1.3, 0.0, 0.1)


def test_texts_have_a_length_and_pictures_none() -> None:
    texts = [Encoding(np.arange(n), truncated=False) for n in (3, 5)]
    found = token_counts(texts)
    assert found is not None
    assert found.tolist() == [3.0, 5.0]
    assert token_counts([np.zeros((3, 8, 8), np.float32)]) is None


def test_it_reads_as_a_formula() -> None:
    assert str(Temperature(0.5051)) == "0.505"
    assert str(Temperature(1.3231, -0.0812)) == "1.323 · (tokens / 100) ^ -0.081"
    assert str(Temperature(1, smoothing=0.12)) == "1.000 after a smoothing of 0.120 is taken off"

import numpy as np
import pytest

from export.quality import fit_quality, pearson, spearman
from service.tasks.quality import Translated, quality


def sentences(rows: int = 300) -> tuple[list[Translated], np.ndarray]:
    """The better the more probable; no other feature says anything."""
    generator = np.random.default_rng(0)
    logs = -generator.random(rows) * 2
    found = [
        Translated("one two three", 4, "eins zwei drei", [5, 6, 7], float(log), True)
        for log in logs
    ]
    scores = 1 / (1 + np.exp(-(1 + 2 * logs + generator.normal(0, 0.2, rows))))
    return found, scores


def test_what_says_something_is_chosen_and_nothing_else() -> None:
    found, scores = sentences()
    estimate = fit_quality(found, scores)
    assert estimate is not None
    assert [term.feature for term in estimate.terms] == ["log_probability"]
    assert estimate.terms[0].weight == pytest.approx(2, rel=0.1)
    assert estimate.bias == pytest.approx(1, rel=0.15)


def test_the_server_foresees_what_was_fitted() -> None:
    found, scores = sentences()
    estimate = fit_quality(found, scores)
    assert estimate is not None
    foreseen = np.array([quality(estimate, one) for one in found])
    assert pearson(foreseen, scores) > 0.95
    assert np.abs(foreseen - scores).mean() < 0.05


def test_a_second_feature_is_taken_where_it_adds_something() -> None:
    found, scores = sentences()
    unfinished = np.arange(len(found)) % 2 == 0
    found = [
        Translated(o.source, 4, o.target, o.target_ids, o.log_probability, not cut)
        for o, cut in zip(found, unfinished, strict=True)
    ]
    estimate = fit_quality(found, np.where(unfinished, scores * 0.3, scores))
    assert estimate is not None
    weights = {term.feature: term.weight for term in estimate.terms}
    assert set(weights) == {"log_probability", "unfinished"}
    assert weights["unfinished"] < -0.5


def test_without_anything_that_tells_there_is_no_estimate() -> None:
    same = [Translated("a b", 3, "c d", [4, 5], -0.5, True)] * 20
    assert fit_quality(same, np.linspace(0, 1, 20)) is None


def test_ranks_correlate_fully_where_values_only_grow_together() -> None:
    left = np.array([1.0, 2.0, 3.0, 4.0])
    assert spearman(left, np.exp(5 * left)) == pytest.approx(1)
    assert pearson(left, np.exp(5 * left)) < 0.9
    assert pearson(left, np.ones(4)) == 0.0

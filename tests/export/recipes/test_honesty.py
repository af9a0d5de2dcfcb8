"""Temperature and threshold of a classifier whose right answers are known by construction."""

from pathlib import Path

import numpy as np
import pytest

from export.calibration import confidence_scores, softmax
from export.candidate import Candidate, of_published
from export.console import Story
from export.golden import drawings
from export.recipes import honesty
from export.recipes.honesty import LabelledItems, TestSplits, answered, calibrated, tell_doubts
from export.recipes.strangers import strange_images, strange_texts
from export.temperature import Temperature, temperature_of, token_counts
from model_zoo.manifest import Evidence
from tests import tiny_zoo

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    return of_published(tiny_zoo.build(tmp_path_factory.mktemp("zoo")).open(tiny_zoo.TEXTS))


def texts(count: int, seed: int, letters: int = 3) -> list[str]:
    generator = np.random.default_rng(seed)
    return ["".join(generator.choice(list(LETTERS), letters)) for _ in range(count)]


def labelled(
    plain: Candidate, split: str, *, sharper: float, seed: int, letters: int = 3
) -> LabelledItems:
    """Items whose labels are drawn from the model's own logits, multiplied by `sharper`."""
    items = texts(600, seed, letters)
    found = answered(plain.open("fp32"), items, plain.manifest.labels)
    chances = softmax(sharper * found.logits_NK)[:, 1]
    drawn = np.random.default_rng(seed).random(len(items)) < chances
    return LabelledItems("letters", split, items, drawn.astype(np.int64))


@pytest.fixture(scope="module")
def humble(plain: Candidate) -> Candidate:
    validation = labelled(plain, "validation", sharper=2.0, seed=1)
    return calibrated(plain, [validation], Story("test"))


def test_the_temperature_is_found_and_lies_in_the_graph(
    plain: Candidate, humble: Candidate
) -> None:
    temperature = humble.evidence["fp32"].temperature
    assert temperature == pytest.approx(0.5, rel=0.2)
    features = plain.open("fp32").features(["abc", "xyz"])
    before, after = (np.stack(one.open("fp32").rows(features)) for one in (plain, humble))
    assert after == pytest.approx(before / temperature, rel=1e-5)


def test_calibration_is_recorded_before_and_after(humble: Candidate) -> None:
    (found,) = humble.evidence["fp32"].calibration
    assert (found.dataset, found.split, found.items) == ("letters", "validation", 600)
    assert found.after.nll < found.before.nll
    assert found.after.ece < found.before.ece


def test_the_threshold_accepts_what_it_promises(humble: Candidate) -> None:
    assert humble.manifest.confidence is not None
    assert humble.manifest.confidence.accepted == 0.95
    assert humble.evidence["fp32"].calibration[0].uncertain == pytest.approx(0.05, abs=0.01)


def test_served_answers_doubt_by_the_same_threshold(humble: Candidate) -> None:
    found = humble.open("fp32").predict(texts(600, seed=1))
    assert np.mean([one.uncertain for one in found]) == pytest.approx(0.05, abs=0.01)


def test_doubt_on_test_and_strange_items_joins_the_evidence(
    plain: Candidate, humble: Candidate
) -> None:
    split = labelled(plain, "test", sharper=2.0, seed=2)
    test = TestSplits([split], humble.manifest.labels)
    (figure,) = test.measure(humble.open("fp32"))
    assert (figure.split, figure.metric, figure.items) == ("test", "accuracy", 600)
    assert figure.value > 0.5
    own = humble.evidence["fp32"]
    humble.evidence["fp32"] = own.model_copy(update={"accuracy": (figure,)})
    tell_doubts(humble, test, {"the same again": split.items}, Story("test"))
    evidence: Evidence = humble.evidence["fp32"]
    assert [one.split for one in evidence.calibration] == ["validation", "test"]
    assert evidence.accuracy == (figure,)
    (same,) = evidence.strangers
    assert same.auroc_energy == pytest.approx(0.5)
    assert same.uncertain == evidence.calibration[1].uncertain
    humble.evidence["fp32"] = own


def test_the_calibrated_model_can_be_published(humble: Candidate, tmp_path: Path) -> None:
    from model_zoo.catalog import Catalog

    humble.publish(Catalog(tmp_path), {})
    again = Catalog(tmp_path).open(tiny_zoo.TEXTS)
    again.verify()
    assert again.manifest.confidence == humble.manifest.confidence


@pytest.fixture(scope="module")
def by_length(plain: Candidate) -> tuple[Candidate, LabelledItems]:
    """Short texts are answered too boldly, long ones too timidly."""
    parts = [
        labelled(plain, "validation", sharper=sharper, seed=seed, letters=letters)
        for seed, (letters, sharper) in enumerate(((2, 0.5), (12, 1.5)))
    ]
    items = [text for part in parts for text in part.items]
    labels = np.concatenate([part.labels for part in parts])
    both = LabelledItems("letters", "validation", items, labels)
    return calibrated(plain, [both], Story("test")), both


def test_the_temperature_goes_with_the_length_where_that_helps(
    plain: Candidate, by_length: tuple[Candidate, LabelledItems]
) -> None:
    candidate, _ = by_length
    evidence = candidate.evidence["fp32"]
    found = temperature_of(evidence)
    assert found is not None
    assert found.exponent < -0.2
    told = ["ab", "ab" * 6]
    features = plain.open("fp32").features(told)
    before, after = (np.stack(one.open("fp32").rows(features)) for one in (plain, candidate))
    divisors = found.of(token_counts(features))
    assert divisors[0] > divisors[1]
    assert after == pytest.approx(before / divisors[:, None], rel=1e-5)


def test_calibration_by_length_is_held_against_the_plain_graph(
    plain: Candidate, by_length: tuple[Candidate, LabelledItems]
) -> None:
    candidate, validation = by_length
    (told,) = candidate.evidence["fp32"].calibration
    raw = answered(plain.open("fp32"), validation.items, plain.manifest.labels)
    served = answered(candidate.open("fp32"), validation.items, plain.manifest.labels)
    for found, answer in ((told.before, raw), (told.after, served)):
        expected = confidence_scores(answer.probabilities_NK, validation.labels)
        assert found.nll == pytest.approx(expected.nll, abs=1e-5)
    assert told.after.nll < told.before.nll
    assert told.uncertain == pytest.approx(0.05, abs=0.01)
    assert candidate.manifest.confidence is not None
    flagged = served.energies > candidate.manifest.confidence.max_energy
    assert flagged.mean() == pytest.approx(0.05, abs=0.01)


def test_smoothing_is_taken_off_and_held_against_the_plain_graph(
    plain: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = Temperature(0.5, smoothing=0.3)
    monkeypatch.setattr(honesty, "fit_temperature", lambda parts: truth)
    validation = labelled(plain, "validation", sharper=2.0, seed=4)
    candidate = calibrated(plain, [validation], Story("test"))
    evidence = candidate.evidence["fp32"]
    assert temperature_of(evidence) == truth
    raw = answered(plain.open("fp32"), validation.items, plain.manifest.labels)
    served = answered(candidate.open("fp32"), validation.items, plain.manifest.labels)
    assert served.logits_NK == pytest.approx(truth.applied(raw.logits_NK, None), abs=1e-4)
    (told,) = evidence.calibration
    for found, answer in ((told.before, raw), (told.after, served)):
        expected = confidence_scores(answer.probabilities_NK, validation.labels)
        assert found.nll == pytest.approx(expected.nll, abs=1e-5)


def test_pictures_have_one_temperature_whatever_they_show(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    zoo = tiny_zoo.build(tmp_path_factory.mktemp("pictures"))
    pictures = of_published(zoo.open(tiny_zoo.IMAGES))
    items = drawings(150)
    found = answered(pictures.open("fp32"), items, pictures.manifest.labels)
    validation = LabelledItems("drawings", "validation", items, found.chosen)
    evidence = calibrated(pictures, [validation], Story("test")).evidence["fp32"]
    assert found.tokens is None
    assert evidence.temperature is not None
    assert evidence.temperature < 1  # it is always right, and might be bolder
    assert evidence.length_exponent is None


def test_strange_items_are_the_same_every_time_and_unlike_the_known_ones() -> None:
    known = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    first, second = strange_images(known), strange_images(known)
    assert first == second
    assert all(len(items) > 0 for items in first.values())
    assert len({item for items in first.values() for item in items}) == sum(
        map(len, first.values())
    )
    told = ["A good film that I liked.", "Not my kind of story at all."]
    spoilt = strange_texts(told)
    assert spoilt == strange_texts(told)
    assert sorted(spoilt["test texts, words shuffled"][0].split()) in [
        sorted(text.split()) for text in told
    ]
    assert not set(told) & set(spoilt["random words"])
    assert all(text.strip() for texts_ in spoilt.values() for text in texts_)

"""A translator's estimate of its own quality, from fit to evidence, over the tiny translator."""

from dataclasses import replace

import pytest

from export.candidate import Candidate, of_published
from export.console import Story
from export.datasets.rows import SentencePairs
from export.recipes.foresight import TranslatedSplits, tell_foresight, with_quality
from model_zoo.manifest import QualityEstimate
from model_zoo.self_knowledge import QualityTerm
from service.tasks.base import TranslationText
from tests import tiny_zoo

WORDS = ["ab", "abc", "a cat", "cab", "a bad cab", "dad", "a fad", "bead", "a deaf cad", "fed"]
ESTIMATE = QualityEstimate(bias=0.5, terms=(QualityTerm(feature="log_probability", weight=1.0),))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    return of_published(tiny_zoo.build(tmp_path_factory.mktemp("zoo")).open(tiny_zoo.TRANSLATOR))


def pairs(candidate: Candidate, wrong: bool) -> SentencePairs:
    """Each source with its own translation, or with something that shares no letter."""
    found = candidate.open("fp32").predict([TranslationText(text) for text in WORDS])
    targets = ["ÄÖÜß" if wrong else one.text for one in found]
    return SentencePairs(WORDS, targets, ("en", "de"))


def test_where_every_translation_is_as_bad_there_is_no_estimate(plain: Candidate) -> None:
    found = with_quality(plain, pairs(plain, wrong=True), Story("test"))
    assert found.manifest.quality is None


def test_an_estimate_becomes_a_field_of_every_answer(plain: Candidate) -> None:
    manifest = plain.manifest.model_copy(update={"quality": ESTIMATE})
    (answer,) = replace(plain, manifest=manifest).open("fp32").predict([TranslationText("abc")])
    assert answer.quality is not None
    assert 0 < answer.quality < 1


def test_test_splits_are_translated_once_for_figures_and_foresight(plain: Candidate) -> None:
    manifest = plain.manifest.model_copy(update={"quality": ESTIMATE})
    candidate = replace(plain, manifest=manifest, evidence=dict(plain.evidence))
    right = pairs(plain, wrong=False)
    mixed = SentencePairs(WORDS, [*right.targets[:5], *["ÄÖÜß"] * 5], ("en", "de"))
    test = TranslatedSplits([("letters", "test", mixed)])
    figures = {one.metric: one for one in test.measure(candidate.open("fp32"))}
    assert set(figures) == {"bleu", "chrf"}
    assert 0 < figures["chrf"].value < 100
    assert test.texts["fp32"][0] == list(right.targets)
    tell_foresight(candidate, test, Story("test"))
    (found,) = candidate.evidence["fp32"].foresight
    assert (found.dataset, found.items) == ("letters", len(WORDS))
    assert -1 <= found.pearson <= 1


def test_a_translator_without_an_estimate_has_nothing_to_foresee(plain: Candidate) -> None:
    test = TranslatedSplits([("letters", "test", pairs(plain, wrong=False))])
    test.measure(plain.open("fp32"))
    assert test.foresight["fp32"] == ()

"""The page of a translator tells how it was trained, and of captions only where it saw them."""

from dataclasses import replace
from typing import Any

import pytest

from export.candidate import Candidate, of_published
from export.datasets.rows import SentencePairs
from export.recipes.foresight import TranslatedSplits
from export.recipes.translation_card import card, card_text
from export.recipes.translation_training import TranslationTraining
from export.training import History
from model_zoo.manifest import Evidence
from tests import tiny_zoo

WORDS = ["ab", "a cat", "cab", "a bad cab dad", "a fad"]


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    made = of_published(tiny_zoo.build(tmp_path_factory.mktemp("zoo")).open(tiny_zoo.TRANSLATOR))
    return replace(made, evidence={"fp32": Evidence()})


def page(candidate: Candidate, is_public: bool) -> str:
    pairs = SentencePairs(WORDS, WORDS, ("en", "de"))
    test = TranslatedSplits([("letters", "test", pairs), ("news", "test", pairs)])
    measured = test.measure(candidate.open("fp32"))
    told = replace(candidate, evidence={"fp32": Evidence(accuracy=measured)})
    rows = [{"epoch": 1.0, "loss": 2.0}, {"epoch": 2.0, "loss": 1.0}]
    trained, history = TranslationTraining(), History(rows, 1.0)
    made = card(told, test, history, trained, is_public=is_public, closes=is_public)
    return made["README.md"].decode()


def training(*, closes: bool, **settings: Any) -> str:
    return card_text(TranslationTraining(**settings), is_public=True, closes=closes).training


def test_the_public_recipe_tells_how_often_captions_are_seen(candidate: Candidate) -> None:
    told = page(candidate, is_public=True)
    assert "captions seen 2 times as often, then for 3 epochs 8 times, and for the last 3" in told


def test_without_closing_rounds_none_are_told() -> None:
    assert "captions seen 2 times as often. BLEU:" in training(closes=False)


def test_what_is_told_of_training_are_the_settings_used() -> None:
    assert "label smoothing 0.1, one vocabulary" in training(closes=False)
    told = training(closes=False, label_smoothing=0.25, r_drop=5.0)
    assert "label smoothing 0.25, two passes with different dropout made to agree" in told


def test_of_own_pairs_nothing_is_told_that_only_the_public_ones_are(candidate: Candidate) -> None:
    public, own = page(candidate, is_public=True), page(candidate, is_public=False)
    for words in ("Everyday sentences and picture captions", "that of everyday talk"):
        assert words in public
        assert words not in own
    assert "of the pairs it learnt from" in own


def test_own_pairs_hold_no_captions(candidate: Candidate) -> None:
    assert "captions seen" not in page(candidate, is_public=False)


def test_every_measured_split_has_its_line(candidate: Candidate) -> None:
    told = page(candidate, is_public=False)
    for title in ("letters", "news"):
        assert f"| {title} | test (5) | bleu |" in told

"""The page of a translator tells how it was trained, and of captions only where it saw them."""

from dataclasses import replace

import pytest

from export.candidate import Candidate, of_published
from export.datasets.rows import SentencePairs
from export.recipes.foresight import TranslatedSplits
from export.recipes.translation_card import card
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
    return card(told, test, History(rows, 1.0), is_public=is_public)["README.md"].decode()


def test_the_public_recipe_tells_how_often_captions_are_seen(candidate: Candidate) -> None:
    told = page(candidate, is_public=True)
    assert "captions seen 2 times as often, and in the last 3 epochs 8 times. BLEU:" in told


def test_own_pairs_hold_no_captions(candidate: Candidate) -> None:
    assert "captions seen" not in page(candidate, is_public=False)


def test_every_measured_split_has_its_line(candidate: Candidate) -> None:
    told = page(candidate, is_public=False)
    for title in ("letters", "news"):
        assert f"| {title} | test (5) | bleu |" in told

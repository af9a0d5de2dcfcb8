"""The tables of a card whose rows are answers of the model itself."""

from dataclasses import replace

import pytest

from export.candidate import Candidate, of_published
from export.recipes.card_tables import SENTENCES, opinion_examples, translation_examples
from tests import tiny_zoo


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    return of_published(tiny_zoo.build(tmp_path_factory.mktemp("zoo")).open(tiny_zoo.TRANSLATOR))


def between(candidate: Candidate, source: str, target: str) -> Candidate:
    spec = candidate.manifest.preprocessing.model_copy(update={"source": source, "target": target})
    manifest = candidate.manifest.model_copy(update={"preprocessing": spec})
    return replace(candidate, manifest=manifest)


@pytest.mark.parametrize(("source", "target"), [("en", "de"), ("de", "en")])
def test_a_translator_of_either_direction_shows_where_it_fails(
    translator: Candidate, source: str, target: str
) -> None:
    table = translation_examples(between(translator, source, target))
    assert table is not None
    asked = [pair if source == "en" else pair[::-1] for pair in SENTENCES]
    assert [(row[0], row[2]) for row in table.rows] == asked
    assert any(row[1] for row in table.rows)


@pytest.mark.parametrize(("source", "target"), [("en", "fr"), ("fr", "de")])
def test_other_languages_have_no_examples(translator: Candidate, source: str, target: str) -> None:
    assert translation_examples(between(translator, source, target)) is None


def test_opinions_are_for_models_of_opinions_alone(translator: Candidate) -> None:
    assert opinion_examples(translator) is None

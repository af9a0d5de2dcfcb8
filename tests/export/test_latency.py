import numpy as np
import pytest

from export.candidate import Candidate, of_published
from export.golden import drawings
from export.latency import timing
from service.tasks.base import TranslationText
from tests import tiny_zoo


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Candidate]:
    catalog = tiny_zoo.build(tmp_path_factory.mktemp("zoo"))
    return {ref.name: of_published(catalog.open(ref.name)) for ref in catalog.list()}


def cells(candidate: Candidate, items: list[object], most: int | None = None) -> list[object]:
    opened = candidate.open("fp32")
    table = timing(opened, opened.features(items), most)
    assert "cores" in table.machine
    assert all(run.milliseconds > 0 for run in table.runs)
    return [(run.batch, run.length) for run in table.runs]


def test_images_have_no_length(models: dict[str, Candidate]) -> None:
    found = cells(models[tiny_zoo.IMAGES], list(drawings(3)))
    assert found == [(1, None), (8, None), (32, None)]


def test_texts_are_as_long_as_the_model_takes(models: dict[str, Candidate]) -> None:
    found = cells(models[tiny_zoo.TEXTS], ["a good film", "bad"], tiny_zoo.MAX_TOKENS)
    assert found == [(n, length) for n in (1, 8, 32) for length in (16, 64)]


def test_sentences_are_real_ones_of_about_the_length(models: dict[str, Candidate]) -> None:
    items = [TranslationText("a" * length) for length in (3, 7, 7, 15, 23)]
    found = cells(models[tiny_zoo.TRANSLATOR], list(items))
    assert found[0] == (1, 8)
    assert {batch for batch, _ in np.array(found).tolist()} == {1, 8, 32}

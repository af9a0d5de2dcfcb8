"""The user's own data, from files as people have them to a model that answers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from export.cli import main
from export.datasets.drawings import draw
from export.datasets.generated import opinions, sentence_pairs
from model_zoo.catalog import Catalog
from service.tasks.base import TranslationText
from tests.export.serving import ask, serving

pytestmark = [pytest.mark.quick_export, pytest.mark.timeout(600)]

SHAPES = ("disc", "frame", "plus")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """The command sets torch's threads for its process, which here is the tests'."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def export(folder: Path, *words: str) -> int:
    places = ["--models", str(folder / "models"), "--work", str(folder / "work")]
    return main([*words, "--quick", "--name", "mine", "--threads", "1", *places])


def paint(folder: Path, count: int) -> None:
    """Drawn shapes as files of several sizes and formats, a folder a class."""
    generator = np.random.default_rng(0)
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True)
        for number in range(count):
            image = Image.fromarray(draw(shape, generator)).resize((40 + number, 48))
            image.save(folder / shape / f"{number}.{('png', 'jpg', 'webp')[number % 3]}")


def test_a_folder_of_pictures_becomes_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    paint(photos, 24)
    (photos / "disc" / "broken.png").write_bytes(b"no picture")
    assert export(tmp_path, "image-classification", "--data", str(photos)) == 0
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'models' / 'mine' / '1'}\n"
    assert "1 files were left out" in told.err
    assert f"{photos / 'disc' / 'broken.png'}: cannot be read as a picture" in told.err
    with serving(tmp_path / "models", "mine") as live:
        assert live.manifest.labels == SHAPES
        files = [photos / shape / "0.png" for shape in SHAPES]
        found = ask(live, [file.read_bytes() for file in files])
    assert sum(f.label == shape for f, shape in zip(found, SHAPES, strict=True)) >= 2


def test_a_table_of_opinions_becomes_a_model_and_bad_rows_are_told_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = opinions(240)
    names = ("thumbs down", "thumbs up")
    rows = [f'"{text}",{names[n]}' for text, n in zip(data.texts, data.labels, strict=True)]
    rows[5] = f',"{names[0]}"'
    rows[70] = f'"one field too many",{names[1]},5'
    file = tmp_path / "opinions.csv"
    file.write_text("\n".join(["review,sentiment", *rows]) + "\n")
    assert export(tmp_path, "text-classification", "--data", str(file)) == 0
    told = capsys.readouterr()
    assert "2 rows were left out" in told.err
    assert f"{file}:7: the text is empty" in told.err
    assert f"{file}:72: has 3 fields, the first line 2" in told.err
    manifest = Catalog(tmp_path / "models").open("mine").manifest
    assert manifest.labels == names
    (source,) = manifest.provenance.datasets
    assert (source.name, source.rows) == ("opinions.csv", 238)
    with serving(tmp_path / "models", "mine") as live:
        good, bad = ask(live, ["A wonderful, superb film.", "A boring, awful film."])
    assert (good.label, bad.label) == ("thumbs up", "thumbs down")


def test_a_table_of_sentences_becomes_a_translator_between_the_languages_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = sentence_pairs(300)
    lines = [f"{de}\t{en}" for en, de in zip(pairs.sources, pairs.targets, strict=True)]
    lines[10] = "kein zweiter Satz"
    file = tmp_path / "pairs.tsv"
    file.write_text("\n".join(lines) + "\n")
    words = ("translation", "--data", str(file), "--languages", "de-en")
    assert export(tmp_path, *words) == 0
    assert f"{file}:11: has 1 fields, the first line 2" in capsys.readouterr().err
    with serving(tmp_path / "models", "mine") as live:
        (found,) = ask(live, [TranslationText(pairs.targets[0])])
    assert (found.source, found.target) == ("de", "en")
    assert found.text

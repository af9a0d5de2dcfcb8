"""Judging an image model again trains nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from export.console import Story
from export.datasets.generated import shapes
from export.options import Options
from export.recipes import image_classification
from export.recipes.image_classification import reexamine
from export.recipes.image_data import ImageData
from export.recipes.image_network import begin, colours_of, settings
from export.recipes.image_training import train_images

DRAWN = shapes(300)
DATA = ImageData(
    "shapes",
    train=DRAWN.take(range(200)),
    validation=DRAWN.take(range(200, 250)),
    test=DRAWN.take(range(250, 300)),
    is_public=False,
)
NAME = "tiny"


@pytest.mark.parametrize("epochs", [1, 9])
def test_judging_again_writes_nothing_however_many_epochs_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int
) -> None:
    monkeypatch.setattr(image_classification, "load", lambda *_: DATA)
    options = Options(tmp_path / "models", tmp_path, quick=True, epochs=1, image_network="mlp")
    colours = colours_of(None, [DATA.train, DATA.validation])
    network = begin(options, None, DATA.train, colours)
    chosen, folder = settings(options, network, len(DATA.train)), options.folder(NAME)
    train_images(network, DATA.train, DATA.validation, colours, chosen, folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert reexamine(replace(options, epochs=epochs), NAME, Story("test")).knows_network
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before

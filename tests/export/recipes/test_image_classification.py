"""Judging an image model again trains nothing; training hears of its teachers."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

from export.console import Story
from export.datasets.generated import shapes
from export.options import Options
from export.recipes import image_classification
from export.recipes.image_classification import make, reexamine
from export.recipes.image_data import ImageData
from export.recipes.image_network import begin, colours_of, settings
from export.recipes.image_teachers import Teachers
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


def trained(options: Options) -> Path:
    """The folder of a network that has seen one epoch."""
    colours = colours_of(None, [DATA.train, DATA.validation])
    network = begin(options, None, DATA.train, colours)
    chosen, folder = settings(options, network, len(DATA.train)), options.folder(NAME)
    train_images(network, DATA.train, DATA.validation, colours, chosen, folder)
    return folder


@pytest.mark.parametrize("epochs", [1, 9])
def test_judging_again_writes_nothing_however_many_epochs_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int
) -> None:
    monkeypatch.setattr(image_classification, "load", lambda *_: DATA)
    options = Options(tmp_path / "models", tmp_path, quick=True, epochs=1, image_network="mlp")
    folder = trained(options)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    again = replace(options, epochs=epochs, teachers=("one that is gone.pt",))
    assert reexamine(again, NAME, Story("test")).knows_network
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize("has_teacher", [True, False])
def test_training_is_given_the_teachers_that_the_options_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_teacher: bool
) -> None:
    options = Options(tmp_path / "models", tmp_path, quick=True, epochs=1, image_network="mlp")
    names = (str(trained(options) / "checkpoint.pt"),) if has_teacher else ()
    given: list[Teachers | None] = []

    def stop_there(*arguments: object) -> None:
        given.append(cast(Teachers | None, arguments[-1]))
        raise InterruptedError

    monkeypatch.setattr(image_classification, "load", lambda *_: DATA)
    monkeypatch.setattr(image_classification, "train_images", stop_there)
    with pytest.raises(InterruptedError):
        make(replace(options, work=tmp_path / "pupil", name="pupil", teachers=names))
    (teachers,) = given
    assert (teachers is not None) == has_teacher
    if teachers is not None:
        answers = teachers(torch.zeros(2, 3, 32, 32), 1.0)
        assert answers.sum(1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)

from pathlib import Path
from typing import Any

import pytest
import torch

from export.transfer.errors import TransferError
from export.transfer.source import Checkpoint, Published, open_source, open_vocabulary, require
from model_zoo.catalog import DEFAULT_ROOT
from model_zoo.errors import ModelNotFound
from model_zoo.manifest import Task

WEIGHTS = {"head.weight": torch.ones(2, 3)}


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def opened(
    start: str | Path, task: Task = "image-classification", models: Path = DEFAULT_ROOT
) -> Any:
    return open_source(str(start), task, models)


def test_nothing_asked_for_is_nothing_opened() -> None:
    assert open_source(None, "translation", DEFAULT_ROOT) is None


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("cifar10-resnet", "image-classification"),
        ("reviews-lstm", "text-classification"),
        ("en-de-transformer/1", "translation"),
    ],
)
def test_a_published_model_gives_its_weights_and_its_vocabulary(name: str, task: Task) -> None:
    source = opened(name, task)
    assert isinstance(source, Published)
    assert sum(value.numel() for value in source.constants.values()) > 1_000_000
    assert source.manifest.task == task
    assert (source.tokenizer is None) == (task == "image-classification")


def test_slipways_own_models_are_found_from_any_model_folder(tmp_path: Path) -> None:
    assert opened("cifar10-resnet", models=tmp_path).manifest.name == "cifar10-resnet"


def test_an_unknown_name_or_version_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no model 'nobody'"):
        opened("nobody", models=tmp_path)
    with pytest.raises(ModelNotFound, match="no version 999"):
        opened("cifar10-resnet/999")
    with pytest.raises(TransferError, match=r"neither a file ending in \.pt nor NAME"):
        opened("folder/model")


def test_a_model_for_another_task_is_refused() -> None:
    with pytest.raises(TransferError, match="model for text-classification, and this is translat"):
        opened("reviews-lstm", "translation")


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: {"best": w}, lambda w: {"average": w}])
def test_a_checkpoint_is_plain_weights_or_a_trainings_own(tmp_path: Path, wrap: Any) -> None:
    source = opened(saved(tmp_path / "a.pt", wrap(WEIGHTS)))
    assert isinstance(source, Checkpoint)
    assert torch.equal(source.weights["head.weight"], WEIGHTS["head.weight"])


def test_the_best_weights_are_taken_before_the_last_ones(tmp_path: Path) -> None:
    other = {"head.weight": torch.zeros(2, 3)}
    path = saved(tmp_path / "a.pt", {"network": other, "average": other, "best": WEIGHTS})
    assert opened(path).weights["head.weight"].sum() == 6


class Harmful:
    """What a checkpoint must not be able to hold: an object made by code of its own."""


def test_a_checkpoint_that_is_more_than_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="not a checkpoint of plain weights"):
        opened(saved(tmp_path / "a.pt", {"best": Harmful()}))
    (tmp_path / "b.pt").write_bytes(b"no checkpoint at all")
    with pytest.raises(TransferError, match=r"b\.pt is not a checkpoint"):
        opened(tmp_path / "b.pt")
    with pytest.raises(TransferError, match="holds no weights"):
        opened(saved(tmp_path / "c.pt", {"epoch": 3}))
    with pytest.raises(TransferError, match="there is no checkpoint"):
        opened(tmp_path / "absent.pt")


def test_a_checkpoint_takes_the_vocabulary_that_lies_beside_it(tmp_path: Path) -> None:
    bare = opened(saved(tmp_path / "a.pt", WEIGHTS))
    with pytest.raises(TransferError, match=r"a\.pt needs its tokenizer\.json beside it"):
        open_vocabulary(bare)
    text = opened("reviews-lstm", "text-classification").tokenizer
    (tmp_path / "tokenizer.json").write_text(text)
    assert open_vocabulary(opened(tmp_path / "a.pt")).get_vocab_size() > 1000


def test_a_graph_from_elsewhere_is_told_apart() -> None:
    source = opened("cifar10-resnet")
    with pytest.raises(TransferError, match="its graph lacks embedding"):
        require(source, "head.weight", "embedding")

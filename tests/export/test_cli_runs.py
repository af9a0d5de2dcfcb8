"""The command line from data to a published model."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from export.datasets.generated import opinions
from model_zoo.catalog import Catalog
from tests.export.running import CommandLine

pytestmark = pytest.mark.timeout(300)


def test_what_fails_a_gate_is_not_published_and_one_line_says_which(
    export: CommandLine, tmp_path: Path
) -> None:
    """Texts that are all the same: no network can tell them apart."""
    path = tmp_path / "alike.csv"
    path.write_text("text,label\n" + "".join(f"all the same,{i % 2}\n" for i in range(80)))
    assert export("text-classification", "--quick", "--epochs", "1", "--data", str(path)) == 1
    (line,) = [line for line in export.err.splitlines() if line.startswith("slipway-export:")]
    assert line.startswith("slipway-export: AccuracyFailed: fp32: accuracy on alike is 0.5, at ")
    assert export.published == []
    assert export.out == ""


def test_what_passes_its_gates_is_published_and_its_folder_printed(
    export: CommandLine, tmp_path: Path
) -> None:
    data = opinions(200)
    path = tmp_path / "mine.csv"
    rows = [f'"{text}",{label}' for text, label in zip(data.texts, data.labels, strict=True)]
    path.write_text("\n".join(["text,label", *rows]))
    words = ("text-classification", "--quick", "--data", str(path), "--name", "mine")
    assert export(*words) == 0
    assert export.out == f"{export.models / 'mine' / '1'}\n"
    assert export.published == ["mine"]
    # The same command again resumes what is finished, and publishes the next version.
    assert export(*words) == 0
    assert export.out == f"{export.models / 'mine' / '2'}\n"
    first, second = (Catalog(export.models).open("mine", version) for version in (1, 2))
    assert "English" not in first.read("README.md").decode()
    assert first.read("model.onnx") == second.read("model.onnx")
    # With other rows it would go on from a network that has seen what would now test it.
    path.write_text("\n".join(["text,label", *rows[:-1]]))
    assert export(*words) == 1
    assert "OtherRun" in export.err
    assert "--fresh" in export.err


def opinions_file(folder: Path, count: int = 120) -> str:
    data = opinions(count)
    path = folder / "opinions.csv"
    rows = [f'"{text}",{label}' for text, label in zip(data.texts, data.labels, strict=True)]
    path.write_text("\n".join(["text,label", *rows]))
    return str(path)


def test_what_was_learnt_before_is_gone_on_from(export: CommandLine, tmp_path: Path) -> None:
    words = ("--quick", "--epochs", "1", "--data", opinions_file(tmp_path))
    assert export("text-classification", *words, "--from", "reviews-lstm", "--name", "mine") == 0
    made = Catalog(export.models).open("mine")
    known = Catalog().open("reviews-lstm")
    assert made.read("tokenizer.json") == known.read("tokenizer.json")
    assert made.manifest.labels == ("0", "1")
    # A checkpoint of that run, with its vocabulary beside it, is as good a start.
    checkpoint = str(export.work / "mine" / "checkpoint.pt")
    assert export("text-classification", *words, "--from", checkpoint, "--name", "next") == 0


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def parity(export: CommandLine) -> set[str]:
    """What a check's table says of parity, variant by variant."""
    rows = [line.split(maxsplit=2) for line in export.out.splitlines()]
    return {row[2] for row in rows if row[1] == "parity"}


def test_a_check_neither_trains_nor_writes(
    export: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # of few texts int8 may lose none, and a network that has hardly learnt loses one by chance
    data = ("--data", opinions_file(tmp_path, 400))
    words = ("text-classification", "--quick", "--epochs", "2", "--name", "mine", *data)
    monkeypatch.setattr(sys, "argv", ["slipway-export", *words])  # as the manifest tells it
    assert export(*words) == 0
    checkpoint = export.work / "mine" / "checkpoint.pt"
    state = torch.load(checkpoint, weights_only=True)
    with monkeypatch.context() as patch:  # as if it had been trained on a GPU
        patch.setattr(torch.serialization, "location_tag", lambda _: "cuda:0")
        torch.save(state, checkpoint)
    before = contents(export.work)
    assert export("check", "mine", *data) == 0
    assert all(told.startswith("passed") for told in parity(export))
    assert contents(export.work) == before
    # stopped in its first epoch, it has no network that could have been published
    nothing: dict[str, Any] = {"epoch": 0, "step": 1, "best": None, "best_score": None, "rows": []}
    torch.save({**state, **nothing}, checkpoint)
    before = contents(export.work)
    assert export("check", "mine", *data) == 0
    assert {" ".join(told.split()) for told in parity(export)} == {
        "not run no checkpoint with a finished epoch of the training run here"
    }
    assert "checkpoint.pt holds no finished epoch" in export.err
    assert contents(export.work) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "nobody"], "ModelNotFound: no model 'nobody'"),
        (["--from", "cifar10-resnet"], "TransferError: cifar10-resnet is a model for image-cl"),
        (["--from", "reviews-lstm", "--network", "cnn"], "give --network lstm, or none at all"),
        (["--from", "absent.pt"], "TransferError: there is no checkpoint absent.pt"),
    ],
    ids=["unknown", "other task", "other kind", "no file"],
)
def test_a_start_that_does_not_fit_is_told_in_a_line(
    export: CommandLine, tmp_path: Path, words: list[str], said: str
) -> None:
    data = opinions_file(tmp_path)
    assert export("text-classification", "--quick", "--data", data, *words) == 1
    (line,) = [line for line in export.err.splitlines() if line.startswith("slipway-export:")]
    assert said in line


@pytest.mark.parametrize("kind", ["gru", "cnn"])
def test_another_kind_of_text_network_passes_the_same_gates(
    export: CommandLine, tmp_path: Path, kind: str
) -> None:
    data = opinions_file(tmp_path, 300)
    words = ["--quick", "--data", data, "--network", kind, "--name", kind, "--fp16"]
    assert export("text-classification", *words) == 0
    variants = Catalog(export.models).open(kind).manifest.variants
    assert {v.precision for v in variants} == {"fp32", "int8", "fp16"}
    assert all(v.evidence.parity and v.evidence.invariance for v in variants)


def test_a_network_of_full_layers_passes_the_same_gates(
    export: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLIPWAY_DATA", str(tmp_path))  # without CIFAR-10: drawn shapes
    words = ["--quick", "--network", "mlp", "--name", "mlp", "--fp16"]
    assert export("image-classification", *words) == 0
    manifest = Catalog(export.models).open("mlp").manifest
    assert [v.precision for v in manifest.variants] == ["fp32", "int8", "fp16"]
    card = Catalog(export.models).open("mlp").read("README.md").decode()
    assert "SGD with Nesterov momentum; label smoothing 0.1" in card
    assert manifest.variants[2].providers == ("cuda", "tensorrt")
    assert manifest.variants[0].evidence.accuracy[0].value > 0.5

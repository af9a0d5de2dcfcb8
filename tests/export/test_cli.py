import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from export.cli import main
from export.command_line import EXAMPLES, TASKS
from export.datasets.generated import opinions
from export.options import Options
from export.recipes import translation
from model_zoo.catalog import Catalog

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
PAGES = {
    "image-classification": "https://www.cs.toronto.edu/~kriz/cifar.html",
    "text-classification": "https://ai.stanford.edu/~amaas/data/sentiment/",
    "translation": "https://www.manythings.org/anki/",
}


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """The command sets torch's threads for its process, which here is the tests'."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class CommandLine:
    """`slipway-export` in this process, with folders of its own. `report` hears what it says."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str], report: Callable[[str], None]
    ) -> None:
        self.models, self.work = folder / "models", folder / "work"
        self._capsys = capsys
        self._report = report
        self.out = self.err = ""

    def __call__(self, *words: str) -> int:
        folders = ["--models", str(self.models), "--work", str(self.work), "--threads", "1"]
        try:
            return main([*words, *folders])
        finally:
            self.out, self.err = self._capsys.readouterr()
            self._report(self.out + self.err)

    @property
    def published(self) -> Sequence[str]:
        return [ref.name for ref in Catalog(self.models).list()] if self.models.exists() else []


@pytest.fixture
def export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> CommandLine:
    def report(said: str) -> None:  # shown where the test fails
        request.node.add_report_section("call", "slipway-export", said)

    return CommandLine(tmp_path, capsys, report)


@pytest.mark.parametrize("rate", ["0", "-1", "1.5", "fast"])
def test_a_rate_is_a_share(capsys: pytest.CaptureFixture[str], rate: str) -> None:
    words = ("translation", "--from", "en-de-transformer", f"--rate={rate}")
    assert f"'{rate}' is not a number above 0 and up to 1" in usage_error(capsys, *words)


def test_a_rate_needs_something_to_begin_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--from" in usage_error(capsys, "image-classification", "--rate", "0.5")


@pytest.mark.parametrize(("words", "known"), [([], None), (["--vocabulary", "16384"], 16384)])
def test_the_vocabulary_is_the_recipes_unless_told_otherwise(
    export: CommandLine, monkeypatch: pytest.MonkeyPatch, words: list[str], known: int | None
) -> None:
    asked: list[Options] = []

    def make(options: Options) -> str:
        asked.append(options)
        return "published"

    monkeypatch.setattr(translation, "make", make)
    assert export("translation", *words) == 0
    assert export.out == "published\n"
    assert [options.vocabulary for options in asked] == [known]


@pytest.mark.parametrize("size", ["0", "-5", "many", "4e3"])
def test_a_vocabulary_is_a_number_of_tokens(capsys: pytest.CaptureFixture[str], size: str) -> None:
    said = usage_error(capsys, "translation", f"--vocabulary={size}")
    assert f"'{size}' is not a whole number above 0" in said


def usage_error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_help_lists_every_command_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(task in text for task in (*TASKS, "all"))
    assert "slipway-export all --quick" in text
    assert "SLIPWAY_DATA" in text


@pytest.mark.parametrize("task", [*TASKS, "all"])
def test_every_command_explains_its_options(capsys: pytest.CaptureFixture[str], task: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([task, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for option in ("--data", "--models", "--work", "--quick", "--fresh", "--epochs", "--seed"):
        assert option in text
    assert ("--languages" in text) == (task == "translation")
    assert ("--name" in text) == (task != "all")


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from export.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    )
    check = code + "sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "COMMAND"),
        (["classification"], "invalid choice"),
        (["all", "--epochs", "0"], "'0' is not a whole number above 0"),
        (["all", "--threads", "-1"], "--threads"),
        (["all", "--seed", "one"], "invalid int value: 'one'"),
        (["all", "--name", "mine"], "--name"),
        (["translation", "--languages", "english"], "'english' is not of the form en-de"),
        (["translation", "--languages", "en-"], "'en-' is not of the form en-de"),
        (["image-classification", "--languages", "en-de"], "--languages"),
        (["image-classification", "--network", "lstm"], "invalid choice: 'lstm'"),
        (["text-classification", "--network", "mlp"], "invalid choice: 'mlp'"),
        (["translation", "--network", "gru"], "--network"),
        (["all", "--from", "reviews-lstm"], "--from"),
        (["text-classification", "--teacher", "reviews-lstm"], "--teacher"),
        (["text-classification", "--data", "nowhere.csv"], "no file or folder nowhere.csv"),
        (["translation", "--data", "/", "--targets", "nowhere.de"], "no file or folder nowhere.de"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert said in usage_error(capsys, *words)


@pytest.mark.parametrize(
    ("words", "usual"),
    [
        (["image-classification", "--data", "photos"], "cifar10-resnet"),
        (["text-classification", "--data", "own.csv"], "reviews-lstm"),
        (["translation", "--data", "own.csv", "--languages", "de-en"], "de-en-transformer"),
        (["translation", "--data", "photos", "--targets", "own.csv"], "en-de-transformer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_own_data_need_a_name_of_their_own(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
    usual: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "own.csv").write_text("")
    said = usage_error(capsys, *words)
    assert f"{words[2]} is not the public data: add --name NAME" in said
    assert f"if that is meant, say --name {usual}" in said
    for name in ("mine", usual):  # understood: the data are read, and there are none
        assert main([*words, "--name", name, "--work", "work", "--models", "models"]) == 1


def test_own_data_are_for_one_task_at_a_time(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = usage_error(capsys, "all", "--data", str(tmp_path))
    assert "use the command image-classification with --name NAME" in said


def test_every_command_that_is_shown_with_own_data_names_its_model() -> None:
    shown = [
        line
        for text in (EXAMPLES, (ROOT / "README.md").read_text())
        for line in text.splitlines()
        if "--data " in line and ("slipway-export" in line or "make export" in line)
    ]
    assert len(shown) >= 8
    assert [line for line in shown if "--name" not in line] == []


@pytest.mark.parametrize("task", TASKS)
def test_missing_data_names_the_makers_page_and_ends_with_1(
    export: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, task: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("SLIPWAY_DATA", str(empty))
    assert export(task) == 1
    (line,) = export.err.strip().splitlines()
    assert line.startswith("slipway-export: DatasetMissing:")
    assert PAGES[task] in line
    assert export.published == []


def test_a_data_folder_that_is_none_is_said_at_once(
    export: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_DATA", "/nowhere/at/all")
    assert export("text-classification", "--quick") == 1
    assert "SLIPWAY_DATA names /nowhere/at/all" in export.err


@pytest.mark.parametrize("task", ["text-classification", "translation"])
def test_who_names_data_never_gets_made_up_rows_instead(
    export: CommandLine, tmp_path: Path, task: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert export(task, "--quick", "--data", str(empty)) == 1
    assert "DatasetMissing" in export.err
    assert str(empty) in export.err
    assert export.published == []


@pytest.mark.parametrize(
    ("task", "file", "rows"),
    [
        ("text-classification", "few.csv", "text,label\ngood,1\nbad,0\nfine,1\npoor,0\n"),
        ("translation", "few.tsv", "one\teins\ntwo\tzwei\nthree\tdrei\n"),
    ],
)
def test_too_few_rows_to_set_some_aside_are_refused(
    export: CommandLine, tmp_path: Path, task: str, file: str, rows: str
) -> None:
    path = tmp_path / file
    path.write_text(rows)
    assert export(task, "--quick", "--data", str(path)) == 1
    assert "few: too few rows to set some aside for" in export.err


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

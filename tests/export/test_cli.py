"""What the command line says; whole runs of it are in test_cli_runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from export.cli import main
from export.command_line import EXAMPLES, TASKS
from export.options import Options
from export.recipes import translation
from tests.export.running import CommandLine

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("threads")]

ROOT = Path(__file__).parents[2]
PAGES = {
    "image-classification": "https://www.cs.toronto.edu/~kriz/cifar.html",
    "text-classification": "https://ai.stanford.edu/~amaas/data/sentiment/",
    "translation": "https://www.manythings.org/anki/",
}


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
    "words", [["check", "cifar10-resnet"], ["all", "--quick"], ["translation", "--data", "."]]
)
def test_without_the_packages_for_training_it_is_said_how_to_install_them(
    words: list[str], tmp_path: Path
) -> None:
    """As after `make serve` alone."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(sys.argv[1].split())); "
        "from export.cli import main; sys.exit(main(sys.argv[2:]))"
    )
    extra = "torch onnx onnxscript matplotlib sacrebleu"
    done = subprocess.run(
        [sys.executable, "-c", code, extra, *words, "--work", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    missing = line.removeprefix("slipway-export: ").partition(" ")[0]
    assert missing.partition(".")[0] in extra.split()
    assert line.endswith(" is missing: `make export` installs what training needs")


def test_a_module_of_our_own_that_is_missing_is_a_mistake_of_ours(
    export: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "export.recipes.sentiment", None)
    with pytest.raises(ModuleNotFoundError):
        export("text-classification", "--quick")


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

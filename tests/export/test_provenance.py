import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from export.cli import main
from export.convert.graph_builder import OPSET
from export.datasets.generated import opinions
from export.provenance import commit, provenance
from model_zoo.manifest import Provenance

ROOT = Path(__file__).parents[2]


def command(monkeypatch: pytest.MonkeyPatch, typed: str) -> str:
    monkeypatch.setattr(sys, "argv", shlex.split(typed))
    return provenance([], seed=1, seconds=1.0).command


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("slipway-export all --quick", "slipway-export all --quick"),
        ("/opt/bin/slipway-export all --seed 2", "slipway-export all --seed 2"),
        ("x all --models /home/me/zoo --work /tmp/w --quick", "slipway-export all --quick"),
        ("x all --quick --models /home/me/zoo", "slipway-export all --quick"),
        ("x all --models zoo --work runs --quick", "slipway-export all --quick"),
        ("x all --models=/home/me/zoo --quick", "slipway-export all --quick"),
        (
            "x image-classification --data /home/me/photos/ --name mine",
            "slipway-export image-classification --data photos --name mine",
        ),
        (
            "x text-classification --data=/a/b.csv",
            "slipway-export text-classification --data=b.csv",
        ),
        (
            "x translation --data ../me/a.en --targets ./me/a.de --languages en-de",
            "slipway-export translation --data a.en --targets a.de --languages en-de",
        ),
        (
            "x text-classification --data '/home/me/my opinions.csv'",
            "slipway-export text-classification --data 'my opinions.csv'",
        ),
    ],
)
def test_the_command_can_be_typed_elsewhere_and_tells_no_path(
    monkeypatch: pytest.MonkeyPatch, typed: str, kept: str
) -> None:
    found = command(monkeypatch, typed)
    assert found == kept
    assert "/" not in found


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("--from reviews-lstm/1", "--from reviews-lstm/1"),
        ("--from=reviews-lstm/12 --seed 3", "--from=reviews-lstm/12 --seed 3"),
        ("--from /home/me/runs/1/checkpoint.pt", "--from checkpoint.pt"),
        ("--data runs/1", "--data 1"),
        ("--from reviews-lstm --data runs/1", "--from reviews-lstm --data 1"),
    ],
)
def test_a_model_to_begin_with_keeps_its_version_and_a_file_loses_its_folders(
    monkeypatch: pytest.MonkeyPatch, typed: str, kept: str
) -> None:
    found = command(monkeypatch, f"x text-classification {typed}")
    assert found == f"slipway-export text-classification {kept}"


@pytest.fixture(scope="module")
def made() -> Provenance:
    return provenance(opinions(10).source, seed=7, seconds=12.3456)


def test_versions_seed_and_time_are_those_of_this_process(made: Provenance) -> None:
    assert (made.torch, made.onnx) == (version("torch"), version("onnx"))
    assert made.onnxruntime == version("onnxruntime")
    assert made.opset == OPSET
    assert (made.seed, made.training_seconds) == (7, 12.3)
    assert made.datasets == opinions(10).source
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", made.created)


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=me", "-c", "user.email=me@example.com")
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def test_the_commit_is_that_of_the_code(made: Provenance) -> None:
    head = git(ROOT, "rev-parse", "HEAD")
    assert made.git_commit.removesuffix("-dirty") == (head or "unknown")


def test_the_commit_of_a_tree_that_was_changed_says_so(tmp_path: Path) -> None:
    inside = tmp_path / "code"
    inside.mkdir()
    (inside / "a.py").write_text("one")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--message=first")
    git(tmp_path, "tag", "v1")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert len(head) == 40
    assert commit(inside) == head
    (tmp_path / "a model just published").write_text("new")
    assert commit(inside) == head
    (inside / "a.py").write_text("two")
    assert commit(inside) == f"{head}-dirty"


def test_without_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit(tmp_path) == "unknown"
    git(tmp_path, "init")  # without a commit yet
    assert commit(tmp_path) == "unknown"


def test_the_machine_is_named_by_class_alone(made: Provenance) -> None:
    assert "core" in made.machine
    assert not re.search(r"[/@]", made.machine.replace("w/ ", ""))


def test_no_folder_of_this_machine_is_told(made: Provenance) -> None:
    told = made.model_dump_json()
    assert str(ROOT) not in told
    assert str(Path.home()) + "/" not in told


def test_the_command_in_a_manifest_is_one_that_the_command_line_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opinions_file = tmp_path / "opinions.csv"
    opinions_file.write_text("text,label\n")
    data = f"--data {opinions_file} --name mine"
    typed = f"x text-classification {data} --models {tmp_path} --work {tmp_path}/w"
    words = shlex.split(command(monkeypatch, typed))[1:]
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1  # understood: the file is read, and is too short
    assert "holds no rows" in capsys.readouterr().err

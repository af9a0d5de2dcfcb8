"""The commands as a user types them, in this process."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from model_zoo.catalog import Catalog
from model_zoo.manifest import Precision
from service.cli import main
from service.cli.serve import usual_threads, usual_workers
from service.http.schemas import MAX_BEAM, MAX_TOP_K
from tests import tiny_zoo
from tests.repository.golden_models import Graphs, publish


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_zoo.build(tmp_path_factory.mktemp("zoo")).root)


@pytest.fixture
def red(tmp_path: Path) -> str:
    path = tmp_path / "red.png"
    Image.new("RGB", (20, 20), (255, 0, 0)).save(path)
    return str(path)


def test_an_image_file_is_classified(
    models: str, red: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--models", models, red]) == 0
    assert ": red " in capsys.readouterr().out


def test_anything_else_is_a_text_with_a_sentiment(
    models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--models", models, "What a film!"]) == 0
    assert capsys.readouterr().out.startswith("What a film!: ")


def test_a_text_file_is_read(
    models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "review.txt"
    path.write_text("What a film!")
    assert main(["predict", "--models", models, str(path), "--json"]) == 0
    from_file = json.loads(capsys.readouterr().out)
    assert main(["predict", "--models", models, "What a film!", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == from_file


def test_stdin_is_read_for_a_dash(
    models: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("One.\n\nTwo."))
    assert main(["predict", "--models", models, "--task", "translate", "-"]) == 0
    assert "\n\n" in capsys.readouterr().out


@pytest.mark.parametrize("asked", [["--task", "translate"], ["--target", "de"], ["--source", "en"]])
def test_a_translation_may_be_asked_for(
    models: str, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--models", models, "--json", *asked, "A dog."]) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["target"] == "de"


def test_images_and_texts_may_be_mixed(
    models: str, red: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--models", models, "--json", red, "Well done.", red]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["model"], len(first["results"])) == (tiny_zoo.IMAGES, 2)
    assert (second["model"], len(second["results"])) == (tiny_zoo.TEXTS, 1)


@pytest.mark.parametrize(
    ("defaults", "name", "version"),
    [("", "alpha", "1"), ("beta", "beta", "2"), ("other, beta", "beta", "2")],
)
def test_the_settings_may_name_the_model_that_answers(
    defaults: str,
    name: str,
    version: str,
    tmp_path: Path,
    red: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    catalog = Catalog(tmp_path / "zoo")
    for published in (("alpha", 1), ("beta", 1), ("beta", 2)):
        tiny_zoo.publish_images(catalog, *published)
    monkeypatch.setenv("SLIPWAY_DEFAULT_MODELS", defaults)
    assert main(["predict", "--models", str(catalog.root), "--json", red]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["version"]) == (name, version)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["predict", "missing.jpg"], "missing.jpg: there is no such file"),
        (["predict", "--model", "nothing", "text"], "no model for text-classification"),
        (["predict", "--task", "translate", "--target", "fr", "text"], "no model for translation"),
        (["predict", "--variant", "int8", "text"], "no int8 variant"),
        (["predict", " "], "empty"),
        (["predict", "--models", "/nowhere/at/all", "text"], "/nowhere/at/all"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    models: str, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--models" not in arguments:
        arguments = [*arguments, "--models", models]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("slipway: ")
    assert says in line
    assert captured.out == ""


@pytest.mark.parametrize(
    ("typed", "most"),
    [
        (["--top-k", "0"], 100),
        (["--top-k", "101"], 100),
        (["--beam", "0"], 8),
        (["--beam", "9"], 8),
        (["--beam", "wide"], 8),
    ],
)
def test_what_is_asked_for_stays_within_the_limits_of_the_http_api(
    models: str, red: str, typed: list[str], most: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--models", models, *typed, red])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert f"argument {typed[0]}: '{typed[1]}' is not a whole number from 1 to {most}" in told


def test_the_limits_themselves_may_be_asked_for(models: str, red: str) -> None:
    for top_k in ("1", "100"):
        assert main(["predict", "--models", models, "--top-k", top_k, red]) == 0
    for beam in ("1", "8"):
        asked = ["--task", "translate", "--beam", beam]
        assert main(["predict", "--models", models, *asked, "A dog."]) == 0


def test_the_help_tells_the_limits(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert f"1 to {MAX_BEAM}; 1 is greedy" in told
    assert f"labels an image, 1 to {MAX_TOP_K}" in told


def test_the_published_models_are_listed(models: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--models", models]) == 0
    table = capsys.readouterr().out
    for name in (tiny_zoo.IMAGES, tiny_zoo.TEXTS, tiny_zoo.TRANSLATOR):
        assert name in table


def test_the_published_models_are_listed_as_json(
    models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--models", models, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in listed] == sorted(model["name"] for model in listed)
    assert listed[0]["variants"][0]["precision"] == "fp32"


def test_a_changed_file_is_found_by_verifying(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tiny_zoo.build(tmp_path).root
    with (root / tiny_zoo.TEXTS / "1" / "tokenizer.json").open("ab") as file:
        file.write(b" ")
    assert main(["models", "--models", str(root), "--json"]) == 0
    capsys.readouterr()
    assert main(["models", "--models", str(root), "--json", "--verify"]) == 1
    listed = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    assert "tokenizer.json" in listed[tiny_zoo.TEXTS]["broken"]
    assert "broken" not in listed[tiny_zoo.IMAGES]


@pytest.mark.parametrize("command", [[], ["serve"], ["predict"], ["models"], ["models", "import"]])
def test_the_help_shows_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "slipway " in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("slipway ")


def test_the_models_answer_for_themselves_on_this_machine(
    models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--models", models, "--self-test"]) == 0
    told = capsys.readouterr().out
    assert told.count("no self-test") == 3
    assert "fp32" in told


def test_a_variant_that_cannot_be_opened_fails_and_the_others_answer_for_themselves(
    tmp_path: Path, models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil: dict[Precision, Graphs] = {"int8": {"model": b"no graph"}}
    root = publish(tmp_path, Catalog(Path(models)), tiny_zoo.TEXTS, spoil=spoil).root
    assert main(["models", "--models", str(root), "--self-test"]) == 1
    rows = capsys.readouterr().out.splitlines()
    int8, fp32 = [row for row in rows if row.startswith(tiny_zoo.TEXTS)]
    assert int8.split()[2:5] == ["int8", "cpu", "failed"]
    assert fp32.split()[2:5] == ["fp32", "cpu", "passed"]


@pytest.mark.parametrize(
    ("cpus", "mebibytes", "gpus", "expected"),
    [
        (1, 8192, 0, 1),
        (2, 8192, 0, 2),
        (16, 32768, 0, 16),
        (16, 32768, 1, 1),
        (16, 32768, 4, 4),
        (16, 8192, 0, 8),
        (2, 2048, 0, 2),
        (2, 2047, 0, 1),
        (2, 256, 0, 1),
    ],
)
def test_there_is_a_process_a_cpu_where_memory_allows_unless_gpus_do_the_work(
    cpus: int, mebibytes: int, gpus: int, expected: int
) -> None:
    assert usual_workers(cpus, mebibytes << 20, gpus=gpus) == expected


@pytest.mark.parametrize(
    ("cpus", "processes", "front_ends", "is_engine", "expected"),
    [
        (8, 2, 0, True, 4),
        (8, 2, 0, False, 4),
        (2, 4, 0, False, 1),
        (8, 4, 3, True, 5),
        (8, 4, 3, False, 1),
        (2, 4, 3, True, 1),
    ],
)
def test_the_cpus_are_shared_out(
    cpus: int, processes: int, front_ends: int, is_engine: bool, expected: int
) -> None:
    assert usual_threads(cpus, processes, front_ends, is_engine=is_engine) == expected

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from export.datasets.generated import opinions
from export.options import MOST_STRETCHED, Options, OtherRun
from model_zoo.manifest import Task


def options(folder: Path, *, fresh: bool = False, epochs: int | None = None) -> Options:
    return Options(folder / "models", folder / "work", fresh=fresh, epochs=epochs)


def leave_a_checkpoint(options: Options, name: str) -> Path:
    options.folder(name).mkdir(parents=True)
    checkpoint = options.folder(name) / "checkpoint.pt"
    checkpoint.write_bytes(b"weights")
    return checkpoint


def test_every_model_has_a_work_folder_of_its_own(tmp_path: Path) -> None:
    made = options(tmp_path)
    assert made.folder("a") != made.folder("b")
    assert made.folder("a").parent == tmp_path / "work"


def test_a_run_goes_on_from_its_checkpoint_unless_a_fresh_start_is_asked_for(
    tmp_path: Path,
) -> None:
    checkpoint = leave_a_checkpoint(options(tmp_path), "a")
    other = leave_a_checkpoint(options(tmp_path), "b")
    options(tmp_path).start("a")
    assert checkpoint.exists()
    options(tmp_path, fresh=True).start("a")
    assert not checkpoint.exists()
    assert other.exists()


def test_a_fresh_start_needs_no_earlier_run(tmp_path: Path) -> None:
    options(tmp_path, fresh=True).start("a")


def test_the_same_run_may_go_on(tmp_path: Path) -> None:
    for _ in range(2):
        options(tmp_path).claim("a", opinions(10).source)


@pytest.mark.parametrize(
    ("change", "seed"),
    [
        ({"quick": True}, 0),
        ({"seed": 2}, 0),
        ({"languages": ("de", "en")}, 0),
        ({"rate": 0.3}, 0),
        ({"vocabulary": 8192}, 0),
        ({"teachers": ("cifar10-resnet",)}, 0),
        ({}, 1),
    ],
    ids=["quick", "seed", "languages", "rate", "vocabulary", "teachers", "data"],
)
def test_a_run_on_other_data_or_options_is_refused_until_a_fresh_start(
    tmp_path: Path, change: dict[str, Any], seed: int
) -> None:
    options(tmp_path).claim("a", opinions(10).source)
    other = replace(options(tmp_path), **change)
    with pytest.raises(OtherRun, match=r"work/a holds a run on other data .* --fresh"):
        other.claim("a", opinions(10, seed).source)
    other.claim("b", opinions(10, seed).source)
    replace(other, fresh=True).start("a")
    other.claim("a", opinions(10, seed).source)


@pytest.mark.parametrize("untold", ["rate", "vocabulary", "teachers"])
def test_a_note_of_before_something_was_noted_is_of_a_run_without_it(
    tmp_path: Path, untold: str
) -> None:
    made, sources = options(tmp_path), opinions(10).source
    made.claim("a", sources)
    note = made.folder("a") / "run.json"
    facts = json.loads(note.read_text())
    del facts[untold]
    note.write_text(json.dumps(facts, indent=2) + "\n")
    with pytest.raises(OtherRun):
        replace(made, rate=0.3).claim("a", sources)
    made.claim("a", sources)


def test_a_run_may_go_on_for_longer(tmp_path: Path) -> None:
    for epochs in (1, 3, None):
        options(tmp_path, epochs=epochs).claim("a", opinions(10).source)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("image-classification", "cifar10-resnet"),
        ("text-classification", "reviews-lstm"),
        ("translation", "de-en-transformer"),
    ],
)
def test_a_model_is_called_as_slipways_own_unless_it_was_named(
    tmp_path: Path, task: Task, name: str
) -> None:
    made = replace(options(tmp_path), languages=("de", "en"))
    assert made.name_for(task) == name
    assert replace(made, name="mine").name_for(task) == "mine"


def test_a_checkpoint_without_a_note_is_taken_as_ones_own(tmp_path: Path) -> None:
    leave_a_checkpoint(options(tmp_path), "a")
    options(tmp_path).claim("a", opinions(10).source)


@pytest.mark.parametrize(
    "choice",
    [
        {"origin": "reviews-lstm"},
        {"origin": "reviews-lstm", "rate": 0.3},
        {"vocabulary": 8192},
        {"teachers": ("cifar10-resnet",)},
        {"text_network": "gru"},
        {"image_network": "mlp"},
        {},
    ],
    ids=str,
)
def test_a_run_is_judged_with_the_network_that_it_began_with(
    tmp_path: Path, choice: dict[str, Any]
) -> None:
    made = replace(options(tmp_path), **choice)
    made.claim("a", opinions(10).source)
    assert options(tmp_path).as_claimed("a") == made
    assert replace(made, seed=3).as_claimed("a") == replace(made, seed=3)


def test_where_nothing_was_claimed_the_options_stay(tmp_path: Path) -> None:
    made = replace(options(tmp_path), origin="reviews-lstm")
    assert made.as_claimed("a") == made


@pytest.mark.parametrize(
    ("rows", "epochs"), [(2000, 5), (1000, 5), (501, 5), (500, 10), (250, 20), (3, 5 * 8), (0, 40)]
)
def test_few_rows_are_seen_more_often_up_to_a_bound(tmp_path: Path, rows: int, epochs: int) -> None:
    assert options(tmp_path).epochs_for(rows, usual_rows=1000, usual=5) == epochs
    assert MOST_STRETCHED == 8


def test_the_epochs_that_were_asked_for_are_never_changed(tmp_path: Path) -> None:
    assert options(tmp_path, epochs=2).epochs_for(3, usual_rows=1000, usual=5) == 2


def test_without_a_usual_number_of_rows_nothing_is_stretched(tmp_path: Path) -> None:
    assert options(tmp_path).epochs_for(3, usual_rows=0, usual=5) == 5

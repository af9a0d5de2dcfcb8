from pathlib import Path

import pytest

from export.options import MOST_STRETCHED, Options


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

"""What a table keeps whole, on a terminal of 80 columns and in a pipe."""

import sys
from argparse import Namespace
from pathlib import Path

import pytest

from model_zoo.catalog import Catalog
from service.cli import bench, main
from service.cli.tables import make_table, show
from service.load.bench import Load
from service.load.samples import Samples, summarise
from tests import tiny_zoo

LONG = "a-name-that-is-longer-than-most-names-of-models"
REASON = "because " * 30 + "it-does-not-fit"


def have_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the output is a terminal with 80 columns that knows no colours."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """One model that serves, and one whose manifest says nothing."""
    catalog = Catalog(tmp_path)
    tiny_zoo.publish_images(catalog, LONG)
    tiny_zoo.publish_images(catalog, "spoilt")
    (tmp_path / "spoilt" / "1" / "manifest.json").write_text("{}")
    return str(tmp_path)


def test_a_pipe_gets_whole_rows_without_blanks_behind(capsys: pytest.CaptureFixture[str]) -> None:
    table = make_table(("name", "n", "why"), right=("n",), folds="why")
    table.add_row(LONG, "1", "short")
    table.add_row(LONG, "12", REASON)
    show(table)
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"{LONG}   1  short",
        f"{LONG}  12  {REASON}",
    ]


def test_a_terminal_gets_whole_names_and_reasons_that_fold(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    have_terminal(monkeypatch)
    table = make_table(("name", "why"), folds="why")
    table.add_row(LONG, REASON)
    show(table)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(LONG)
    assert max(map(len, lines)) == 80
    assert " ".join(line[len(LONG) :].strip() for line in lines[1:]) == REASON


def test_a_terminal_too_narrow_cuts_no_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    have_terminal(monkeypatch)
    table = make_table(("one", "other"))
    table.add_row(LONG, LONG)
    show(table)
    assert capsys.readouterr().out.splitlines()[1].split() == [LONG, LONG]


def test_models_are_listed_below_each_other_where_the_table_has_no_room(
    monkeypatch: pytest.MonkeyPatch, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    have_terminal(monkeypatch)
    assert main(["models", "--models", broken]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{LONG}, version 1, image-classification"
    assert lines[1].startswith("  fp32, ")
    place = lines.index("spoilt, version 1")
    assert lines[place + 1].startswith("  broken: ")
    assert max(map(len, lines)) <= 80
    assert "manifest.json" in "".join(line.strip() for line in lines[place + 1 :])


@pytest.mark.parametrize("words", [[], ["--self-test"]])
def test_a_pipe_gets_each_model_and_each_reason_in_a_row(
    words: list[str], broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--models", broken, *words]) == 1
    rows = capsys.readouterr().out.splitlines()
    assert sum(row.startswith(f"{LONG} ") for row in rows) == 1
    (spoilt,) = [row for row in rows if row.startswith("spoilt ")]
    assert "broken" in spoilt
    assert "manifest.json" in spoilt


def test_a_load_is_shown_with_all_its_digits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    have_terminal(monkeypatch)
    samples = Samples()
    for _ in range(20_000):
        samples.add(0.0, 0.0, 1.234567, 200)
    seen = summarise(samples, 1.0, slo_s=2.0)
    options = Namespace(plot=None, json=False, slo_ms=2000.0, share=0.99)
    bench._write(options, [Load("a-trace-of-arrivals", seen)], None)
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row[:4] == ["a-trace-of-arrivals", "20000", "20000.0", "100.00"]
    assert row[4:8] == ["1234.57"] * 4

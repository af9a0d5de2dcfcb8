"""Which data sets are measured, and what is said of those that are not there."""

from argparse import Namespace

import pytest

from bench import quality
from export.datasets.errors import DatasetMissing

FOUND = quality.Figure("IMDB test", "accuracy", 91.5, 25_000, "reviews-lstm", "int8")


def here(client: quality.Client, chosen: Namespace) -> list[quality.Figure]:
    return [FOUND]


def absent(client: quality.Client, chosen: Namespace) -> list[quality.Figure]:
    raise DatasetMissing("CIFAR-10 was not found")


def test_a_data_set_that_is_not_there_is_left_out_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quality, "DATASETS", {"cifar10": absent, "imdb": here})
    assert quality.main(["--json"]) == 0
    told = capsys.readouterr()
    assert told.err == "left out: CIFAR-10 was not found\n"
    assert "reviews-lstm" in told.out


def test_where_there_is_none_at_all_it_is_told_how_to_name_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quality, "DATASETS", {"cifar10": absent})
    assert quality.main([]) == 1
    told = capsys.readouterr()
    assert told.err.splitlines()[-1].startswith("quality: no data set is here; SLIPWAY_DATA names")
    assert told.out == ""


def test_who_asks_for_one_alone_that_is_not_there_gets_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quality, "DATASETS", {"cifar10": absent, "imdb": here})
    assert quality.main(["--only", "cifar10"]) == 1
    assert capsys.readouterr().err == "quality: CIFAR-10 was not found\n"


def test_a_folder_of_data_that_is_none_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLIPWAY_DATA", "/nowhere/at/all")
    assert quality.main(["--only", "imdb"]) == 1
    assert "SLIPWAY_DATA names /nowhere/at/all" in capsys.readouterr().err

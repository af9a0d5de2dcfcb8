from pathlib import Path

import pytest

from export.datasets.errors import DatasetError, DatasetMissing
from export.datasets.sources import (
    CIFAR10,
    IMDB,
    MULTI30K,
    SST2,
    TATOEBA,
    KnownDataset,
    data_root,
    digest_of,
    fingerprint,
    missing,
    origin_of,
)


def test_the_environment_names_the_data_folder(tmp_path: Path) -> None:
    assert data_root({"SLIPWAY_DATA": str(tmp_path)}, tmp_path / "elsewhere") == tmp_path


def test_a_wrong_folder_in_the_environment_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"SLIPWAY_DATA names .*, which is not a folder"):
        data_root({"SLIPWAY_DATA": str(tmp_path / "absent")}, tmp_path)


def test_the_folder_beside_the_checkout_is_found(tmp_path: Path) -> None:
    data = tmp_path / "shared" / "data"
    data.mkdir(parents=True)
    assert data_root({}, tmp_path / "checkout") == data


def test_without_any_folder_there_is_no_root(tmp_path: Path) -> None:
    assert data_root({}, tmp_path / "checkout") is None


@pytest.mark.parametrize(
    ("known", "page"),
    [
        (CIFAR10, "cs.toronto.edu/~kriz/cifar.html"),
        (IMDB, "ai.stanford.edu/~amaas/data/sentiment"),
        (SST2, "gluebenchmark.com"),
        (MULTI30K, "github.com/multi30k/dataset"),
        (TATOEBA, "manythings.org/anki"),
    ],
)
def test_a_missing_data_set_names_its_download_page(known: KnownDataset, page: str) -> None:
    error = missing(known, None, "something")
    assert isinstance(error, DatasetMissing)
    assert page in str(error)
    assert "SLIPWAY_DATA" in str(error)


def test_a_missing_data_set_says_what_was_looked_for_and_where(tmp_path: Path) -> None:
    message = str(missing(CIFAR10, tmp_path, "data_batch_1.bin"))
    assert str(tmp_path) in message
    assert "data_batch_1.bin" in message


def test_the_fingerprint_of_one_file_is_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert fingerprint([path], tmp_path) == digest_of(path) == expected


def test_the_fingerprint_of_files_does_not_depend_on_place_or_order(tmp_path: Path) -> None:
    folders = [tmp_path / "here", tmp_path / "there"]
    for folder in folders:
        folder.mkdir()
        (folder / "a").write_bytes(b"1")
        (folder / "b").write_bytes(b"2")
    here, there = ([folder / "a", folder / "b"] for folder in folders)
    assert fingerprint(here, folders[0]) == fingerprint(reversed(there), folders[1])


def test_the_fingerprint_of_files_changes_with_names_and_contents(tmp_path: Path) -> None:
    files = [tmp_path / name for name in "abc"]
    for path, content in zip(files, (b"1", b"2", b"2"), strict=True):
        path.write_bytes(content)
    first = fingerprint(files[:2], tmp_path)
    assert fingerprint([files[0], files[2]], tmp_path) != first
    files[0].write_bytes(b"9")
    assert fingerprint(files[:2], tmp_path) != first


def test_an_origin_carries_terms_page_rows_and_note(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text("x")
    origin = origin_of(TATOEBA, "train", [path], 7, "a note")
    assert (origin.name, origin.split, origin.rows) == ("Tatoeba", "train", 7)
    assert origin.licence.startswith("CC BY 2.0")
    assert origin.source.endswith("(a note)")
    assert origin.sha256 == digest_of(path)

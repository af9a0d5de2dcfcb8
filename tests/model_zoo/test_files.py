"""Files are written once, and read without following anything out of their folder."""

import errno
from pathlib import Path

import pytest

from model_zoo.files import read_regular_file, write_durably


def test_an_existing_file_is_not_written_over(tmp_path: Path) -> None:
    write_durably(tmp_path / "file", b"first")
    with pytest.raises(FileExistsError):
        write_durably(tmp_path / "file", b"second")
    assert read_regular_file(tmp_path, "file", max_bytes=5) == b"first"


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError):
        write_durably(tmp_path / "link", b"data")
    assert not (tmp_path / "target").exists()


def test_the_bound_is_the_largest_size_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_regular_file(tmp_path, "file", max_bytes=5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes") as caught:
        read_regular_file(tmp_path, "file", max_bytes=4)
    assert caught.value.errno == errno.EFBIG


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"data")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OSError, match="link"):
        read_regular_file(tmp_path / "link", "file", max_bytes=4)

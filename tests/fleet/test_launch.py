"""The folder in which workers meet."""

import socket
import tempfile
from pathlib import Path

import pytest

from service.fleet import launch
from service.fleet.launch import LONGEST_PATH, private_folder
from service.fleet.supervisor import WorkersFailed


@pytest.fixture
def long_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where folders for temporary files are made, with too long a path for a socket."""
    folder = tmp_path / ("x" * LONGEST_PATH)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_folder_is_private_and_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "0.told").touch()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not launch.FOLDERS.exists(), reason="open folders have no names here")
def test_sockets_have_room_in_a_folder_with_a_long_name(long_folder: Path) -> None:
    with private_folder() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "9999.sock"))
        listener.listen()
        (made,) = long_folder.iterdir()
        assert [each.name for each in made.iterdir()] == ["9999.sock"]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder / "9999.sock"))
    assert list(long_folder.iterdir()) == []
    assert not folder.exists()


def test_where_they_have_none_it_is_said_what_helps(
    long_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "FOLDERS", long_folder / "none")
    with pytest.raises(WorkersFailed, match=r"too long a name.*set TMPDIR"), private_folder():
        pass
    assert list(long_folder.iterdir()) == []

import pickle
from pathlib import Path

import numpy as np
import pytest

from export.datasets.errors import DatasetUnreadable
from export.datasets.pickles import read_arrays


@pytest.mark.parametrize("protocol", range(5))
def test_arrays_lists_and_strings_come_back(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "batch"
    content = {b"data": np.arange(6, dtype=np.uint8).reshape(2, 3), b"labels": [1, 2], "name": "é"}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    read = read_arrays(path)
    assert isinstance(read, dict)
    np.testing.assert_array_equal(read[b"data"], content[b"data"])
    assert read[b"labels"] == [1, 2]


def test_a_pickle_that_calls_a_function_is_refused_and_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "batch", tmp_path / "trace"
    path.write_bytes(f"cos\nmkdir\n(V{trace}\ntR.".encode())
    with pytest.raises(DatasetUnreadable, match=r"batch .*os\.mkdir is not allowed"):
        read_arrays(path)
    assert not trace.exists()


def test_a_name_reached_through_an_allowed_module_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "batch"
    path.write_bytes(b"cnumpy\nload\n(S'x'\ntR.")
    with pytest.raises(DatasetUnreadable, match=r"numpy\.load is not allowed"):
        read_arrays(path)


def test_bytes_in_another_encoding_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "batch"
    path.write_bytes(b"c_codecs\nencode\n(Vabc\nVrot13\ntR.")
    with pytest.raises(DatasetUnreadable, match="rot13"):
        read_arrays(path)


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2, 3])[:-2]])
def test_a_broken_pickle_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "batch"
    path.write_bytes(content)
    with pytest.raises(DatasetUnreadable, match="batch"):
        read_arrays(path)

"""Which GPUs there are, by device files that the test makes."""

import os
from pathlib import Path

import pytest

from service.cli.gpus import CHOSEN, usable_gpus, use_gpu

INSTALLED, MISSING = "onnxruntime", "onnxruntime-of-nobody"
AUTO = ("auto",)


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    """Three GPUs, and what else a driver puts there."""
    for name in ("nvidia0", "nvidia2", "nvidia10", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    return tmp_path


def test_they_are_counted_by_their_device_files(devices: Path) -> None:
    assert usable_gpus(AUTO, {}, devices, INSTALLED) == ["0", "2", "10"]


@pytest.mark.parametrize(
    ("chosen", "found"), [("1,0", ["1", "0"]), ("GPU-5a , 3", ["GPU-5a", "3"]), ("", [])]
)
def test_whoever_started_us_may_choose(devices: Path, chosen: str, found: list[str]) -> None:
    assert usable_gpus(AUTO, {CHOSEN: chosen}, devices, INSTALLED) == found


def test_without_devices_there_is_none(tmp_path: Path) -> None:
    assert usable_gpus(AUTO, {}, tmp_path, INSTALLED) == []


def test_they_are_of_no_use_to_the_onnxruntime_for_cpus(devices: Path) -> None:
    assert usable_gpus(AUTO, {}, devices, MISSING) == []


@pytest.mark.parametrize(
    ("providers", "count"),
    [(("cpu",), 0), (("openvino", "cpu"), 0), (("cuda",), 3), (("cpu", "tensorrt"), 3)],
)
def test_they_count_where_a_provider_may_use_them(
    devices: Path, providers: tuple[str, ...], count: int
) -> None:
    assert len(usable_gpus(providers, {}, devices, INSTALLED)) == count


@pytest.mark.parametrize(
    ("names", "worker", "expected"),
    [(["0", "2"], 0, "0"), (["0", "2"], 1, "2"), (["0", "2"], 3, "2"), (["7"], 1, "before")],
)
def test_each_worker_has_one_of_several(
    monkeypatch: pytest.MonkeyPatch, names: list[str], worker: int, expected: str
) -> None:
    monkeypatch.setenv(CHOSEN, "before")
    use_gpu(names, worker)
    assert os.environ[CHOSEN] == expected

"""Memory that is kept on a device: the same way as on a GPU, with the CPU as the device."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from service.errors import Cancelled
from service.runtime import session as sessions
from service.runtime.forward import ImageForward, rounded_up
from service.runtime.session import Abort, DeviceRun, Session, open_session
from service.runtime.signature import TensorType
from tests.runtime import forward_checks
from tests.runtime.forward_checks import open_case
from tests.runtime.graphs import Array
from tests.runtime.tiny_models import image_graph, images


class Opened:
    """The memory that was asked for, by batch size, and how often."""

    def __init__(self) -> None:
        self.sizes: list[int] = []


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """From now on graphs for images run as on a device."""
    found, real = Opened(), Session.device_run

    def device_run(session: Session, device: Any, given: Any, wanted: Any) -> DeviceRun:
        found.sizes.append(given.shape[0])
        return real(session, device, given, wanted)

    monkeypatch.setattr(Session, "device", property(lambda session: "cpu"))
    monkeypatch.setattr(Session, "device_run", device_run)
    return found


def plain_rows(features: Sequence[Array]) -> Array:
    found = open_session(image_graph()).run({"x": np.stack(features)})["y"]
    return np.asarray(found)


@pytest.mark.parametrize("count", range(1, 10))
def test_rows_are_those_of_a_plain_run(opened: Opened, count: int) -> None:
    runner, features = open_case("image", "cpu"), images(count)
    np.testing.assert_allclose(runner.run(features), plain_rows(features), atol=1e-6)
    assert opened.sizes == [rounded_up(count)]


def test_sizes_are_rounded_to_powers_of_two() -> None:
    assert [rounded_up(n) for n in range(1, 10)] == [1, 2, 4, 4, 8, 8, 8, 8, 16]


def test_memory_is_kept_and_holds_nothing_of_the_batch_before(opened: Opened) -> None:
    runner, features = open_case("image", "cpu"), images(8)
    full = runner.run(features)
    few = runner.run(features[:5])
    np.testing.assert_array_equal(few, full[:5])
    np.testing.assert_allclose(full, plain_rows(features), atol=1e-6)  # nothing wrote into it
    assert opened.sizes == [8]
    device = open_session(image_graph())
    run = DeviceRun(
        device._graph,
        "cpu",
        TensorType("x", "float32", (2, 3, 8, 8)),
        TensorType("y", "float32", (2, 2)),
    )
    run.staged[:] = 7.0
    assert run.run() is run.run()


def test_the_rows_that_pad_are_empty(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Array] = []
    real = DeviceRun.run

    def run(kept: DeviceRun, abort: Abort | None = None) -> Any:
        seen.append(kept.staged.copy())
        return real(kept, abort)

    monkeypatch.setattr(DeviceRun, "run", run)
    runner = open_case("image", "cpu")
    runner.run(images(4))
    runner.run(images(3))
    assert seen[0][3].any()
    assert not seen[1][3].any()


def test_each_thread_has_memory_of_its_own(opened: Opened) -> None:
    runner, features = open_case("image", "cpu"), images(4)
    expected = runner.run(features)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(runner.run(features)))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(found[0], expected)
    assert opened.sizes == [4, 4]
    runner.close()
    runner.run(features)  # who asks again has new memory
    assert opened.sizes == [4, 4, 4]


def test_alone_is_as_in_a_batch(opened: Opened) -> None:
    forward_checks.check_alone_is_in_a_batch("image", "cpu")
    assert opened.sizes


def test_a_run_on_a_device_can_be_stopped(opened: Opened) -> None:
    runner, abort = open_case("image", "cpu"), Abort()
    abort.set()
    with pytest.raises(Cancelled):
        runner.run(images(2), abort)


def test_where_no_memory_can_be_kept_runs_are_plain(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[int] = []

    def refuse(session: Session, device: Any, given: Any, wanted: Any) -> DeviceRun:
        asked.append(given.shape[0])
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Session, "device_run", refuse)
    runner, features = open_case("image", "cpu"), images(3)
    for _ in range(2):
        np.testing.assert_array_equal(runner.run(features), plain_rows(features))
    assert asked == [4]  # not again for every batch
    assert "no memory can be kept on the device" in caplog.text


def test_on_a_cpu_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_session(image_graph()).device is None
    asked: list[object] = []
    monkeypatch.setattr(Session, "device_run", lambda *given: asked.append(given))
    runner = open_case("image", "cpu")
    assert isinstance(runner, ImageForward)
    runner.run(images(3))
    assert asked == []


@pytest.mark.parametrize(
    ("placement", "device"),
    [
        ({"CUDAExecutionProvider": 3}, "cuda"),
        ({"TensorrtExecutionProvider": 1}, "cuda"),
        ({"TensorrtExecutionProvider": 1, "CUDAExecutionProvider": 2}, "cuda"),
        ({"CUDAExecutionProvider": 3, "CPUExecutionProvider": 1}, None),
        ({"OpenVINOExecutionProvider": 3}, None),
        ({"CPUExecutionProvider": 3}, None),
        ({}, None),
    ],
)
def test_a_device_is_where_all_nodes_run(placement: dict[str, int], device: str | None) -> None:
    session = open_session(image_graph())
    session.placement = placement
    assert session.device == device


@pytest.mark.parametrize(
    ("provider", "offers", "locked"),
    [
        ("CUDAExecutionProvider", True, True),
        ("CUDAExecutionProvider", False, False),
        ("CPUExecutionProvider", True, False),
    ],
)
def test_memory_of_the_host_is_page_locked_where_the_gpu_offers_it(
    monkeypatch: pytest.MonkeyPatch, provider: str, offers: bool, locked: bool
) -> None:
    """No GPU is needed to see what is asked for."""
    asked: list[object] = []

    class Device:
        ep_name = provider

        def memory_info(self, kind: object) -> str | None:
            assert kind == ort.OrtDeviceMemoryType.HOST_ACCESSIBLE
            return "page-locked" if offers else None

    def value(shape: object, kind: object, *, memory_info: object = None) -> None:
        asked.append((shape, kind, memory_info))

    monkeypatch.setattr(ort, "get_ep_devices", lambda: [Device()])
    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_shape_and_type", value)
    sessions._host_value(TensorType("x", "float32", (2, 3)), "cuda")
    assert asked == [((2, 3), np.float32, "page-locked" if locked else None)]

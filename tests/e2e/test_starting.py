"""A start that cannot succeed says why, in a line, and exits with a code that means it."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny_zoo
from tests.e2e.conftest import ROOT, environment, running

pytestmark = pytest.mark.e2e


def slipway(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def broken_models(tmp_path: Path) -> Path:
    root = tiny_zoo.build(tmp_path / "zoo").root
    graph = root / tiny_zoo.TEXTS / "1" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    return root


def test_a_broken_model_stops_the_start_by_name_and_file(
    tmp_path: Path, broken_models: Path
) -> None:
    ended = slipway(tmp_path / "home", "serve", "--port", "0", "--models", str(broken_models))
    assert ended.returncode == 1
    (line,) = [x for x in ended.stderr.splitlines() if x.startswith(f"slipway: {tiny_zoo.TEXTS}/1")]
    assert "model.onnx" in line
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_the_others_are_served_when_asked_to(tmp_path: Path, broken_models: Path) -> None:
    with running(tmp_path / "home", "--models", str(broken_models), "--no-strict") as server:
        assert server.client.get("/readyz").json()["broken"] == [f"{tiny_zoo.TEXTS}/1"]
        assert server.client.post("/v1/sentiment", json={"text": "a"}).status_code == 404
        assert server.client.post("/v1/translate", json={"text": "a"}).status_code == 200


def test_a_port_that_is_taken_is_told(tmp_path: Path, tiny_models: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = slipway(tmp_path, "serve", "--port", port, "--models", str(tiny_models))
    assert ended.returncode == 1
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--port", "abc"),
        ("serve", "--colour"),
        (),
        ("predict",),
        ("serve", "--config", "x"),
    ],
)
def test_misuse_has_a_code_of_its_own(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = slipway(tmp_path, *arguments)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


def test_a_folder_without_models_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = slipway(tmp_path, "serve", "--port", "0", "--models", str(tmp_path / "empty"))
    assert ended.returncode == 1
    assert "no model" in ended.stderr

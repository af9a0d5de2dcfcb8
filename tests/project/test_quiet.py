"""ONNX Runtime's telemetry leaves a device id and a database in HOME; Slipway leaves nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from tests.project.tree import ROOT

SCRIPT = """
import sys
import {package}
import onnxruntime
graph = sys.stdin.buffer.read()
session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
session.run(None, {{"x": [1.0, 2.0]}})
"""


def relu() -> bytes:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("package", ["service", "export", "model_zoo"])
@pytest.mark.parametrize("setting", [None, "0"])
def test_no_file_appears_in_home(tmp_path: Path, package: str, setting: str | None) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    if setting is not None:
        environment["ORT_DISABLE_TELEMETRY"] = setting
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(
        [sys.executable, "-c", SCRIPT.format(package=package)],
        input=relu(),
        cwd=ROOT,
        env=environment | {"HOME": str(home), "TMPDIR": str(home)},
        check=True,
    )
    assert list(home.rglob("*")) == []

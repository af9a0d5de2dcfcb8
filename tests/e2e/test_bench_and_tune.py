"""`slipway bench` and `slipway tune` on the real server, with loads of a moment."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from service.cli import main
from service.settings import Settings
from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e
SHORT = ["--seconds", "0.3", "--warm-up", "0.1"]


def bench(server: Server, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["bench", "--url", server.url, "--json", *SHORT, *words]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("task", ["classify", "sentiment", "translate"])
def test_every_task_takes_a_closed_loop(
    server: Server, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    (load,) = bench(server, capsys, "--task", task, "--clients", "4")["loads"]
    assert load["load"] == "4 clients"
    assert load["requests"] == load["statuses"]["200"] > 4
    assert 0 < load["latency_ms"]["p50"] <= load["latency_ms"]["p99"]


def test_rates_make_a_table_and_a_plot(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "latency.svg"
    words = ["bench", "--url", server.url, *SHORT, "--rate", "20,40", "--plot", str(plot)]
    assert main(words) == 0
    table = capsys.readouterr().out
    assert "20/s" in table
    assert "40/s" in table
    assert plot.read_text().count("<polyline") == 2


def test_a_trace_is_sent_as_it_was(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "trace"
    trace.write_text("0\n0.1\n0.3\n")
    (load,) = bench(server, capsys, "--trace", str(trace))["loads"]
    assert (load["requests"], load["seconds"]) == (3, pytest.approx(0.3))


def test_capacity_is_found_under_an_objective(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    found = bench(server, capsys, "--task", "sentiment", "--slo-ms", "500", "--share", "0.9")
    assert found["slo"] == {"latency_ms": 500.0, "share": 0.9}
    assert found["capacity_per_s"] > 1
    assert len(found["loads"]) > 2


def test_a_server_that_refuses_the_request_ends_the_bench(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--url", server.url, *SHORT, "--model", "nobody"]) == 1
    assert "answers 404 instead of 200" in capsys.readouterr().err


@pytest.mark.timeout(300)  # starts a server for each trial
def test_tuned_settings_are_those_that_the_server_takes(
    tiny_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "slipway.toml"
    words = ["--models", str(tiny_models), "--task", "sentiment", "--seconds", "0.1"]
    words += ["--knob", "max_batch_size=8", "--out", str(settings)]
    assert main(["tune", *words]) == 0
    tuned = Settings.load({"config": str(settings)}, {})
    assert tuned.models == tiny_models
    assert tuned.max_batch_size in (8, 32)
    report = settings.with_suffix(".md").read_text()
    assert "| max_batch_size | sentiment | score |" in report
    assert f"`max_batch_size = {tuned.max_batch_size}`" in report
    assert str(settings) in capsys.readouterr().out


def test_a_task_that_no_model_does_is_told_before_anything_is_tried(
    tiny_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = tmp_path / "models"
    for folder in tiny_models.iterdir():
        manifest = next(folder.glob("*/manifest.json"))
        if json.loads(manifest.read_text())["task"] == "text-classification":
            shutil.copytree(folder, only / folder.name)
    words = ["--models", str(only), "--task", "classify", "--out", str(tmp_path / "slipway.toml")]
    assert main(["tune", *words]) == 1
    assert "no model for classify is live" in capsys.readouterr().err

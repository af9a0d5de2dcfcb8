"""What the image is made of, read from its recipe; `make test-container` builds it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import SETTINGS
from tests import tiny_zoo
from tests.container.files import ROOT, health_command, instructions, of
from tests.e2e.conftest import running
from tests.project.tree import pyproject

SETTABLE = {setting.variable for setting in SETTINGS}


def environment() -> dict[str, str]:
    (text,) = of("bare", "ENV")
    return dict(pair.split("=", 1) for pair in text.split())


def test_the_last_stage_is_the_one_with_the_models() -> None:
    assert instructions()[-1].stage == "full"
    assert of("full", "COPY") == ["--from=models /models /models"]


def test_every_stage_stands_on_the_base_image_or_on_another_stage() -> None:
    named = [i.rest.partition(" AS ") for i in instructions() if i.word == "FROM"]
    stages = {name for _, _, name in named}
    own = {"${BASE_IMAGE}", "runtime-${FLAVOUR}"}
    assert {base for base, _, _ in named} <= stages | own
    assert {"runtime-cpu", "runtime-gpu"} <= stages


def test_packages_come_from_locks_by_hash_and_as_wheels() -> None:
    installs = [
        command.strip()
        for run in of("build", "RUN")
        for command in run.split(";")
        if re.search(r"pip .*\binstall\b", command)
    ]
    assert len(installs) == 3
    for command in installs:
        assert "--require-hashes" in command or "--no-index" in command


def test_nothing_is_fetched_but_by_pip() -> None:
    text = " ".join(i.rest for i in instructions())
    assert not re.search(r"\b(apt|apt-get|curl|wget|git)\b", text)
    assert not any(i.word == "ADD" for i in instructions())


def test_what_is_taken_away_again_was_locked_and_is_nothing_that_the_server_asks_for() -> None:
    (script,) = [run for run in of("build", "RUN") if "uninstall" in run]
    named = re.search(r"uninstall --yes --quiet ([^;]+);", script)
    assert named
    away = set(named[1].split())
    lock = (ROOT / "requirements-tracing.lock").read_text(encoding="utf-8")
    assert away <= set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    asked = {re.split(r"[=<>]", want)[0] for want in pyproject()["project"]["dependencies"]}
    assert away.isdisjoint(name.replace("_", "-") for name in asked)


def test_bytecode_lies_where_the_process_and_its_health_check_look_for_it() -> None:
    (script,) = [run for run in of("build", "RUN") if "PYTHONPYCACHEPREFIX" in run]
    folder = environment()["PYTHONPYCACHEPREFIX"]
    assert f"PYTHONPYCACHEPREFIX={folder};" in script
    assert f"pycache_prefix={folder}" in health_command()


def test_no_stage_names_torch() -> None:
    assert "torch" not in " ".join(i.rest for i in instructions())


def test_the_process_is_nobody_and_is_stopped_as_it_expects() -> None:
    assert of("bare", "USER") == ["10001:10001"]
    assert of("full", "USER") == []
    assert of("bare", "STOPSIGNAL") == ["SIGTERM"]
    assert of("bare", "ENTRYPOINT") == ['["slipway"]']
    assert of("bare", "CMD") == ['["serve"]']


def test_telemetry_is_off_and_every_setting_exists() -> None:
    variables = environment()
    assert variables["ORT_DISABLE_TELEMETRY"] == "1"
    assert variables["SLIPWAY_HOST"] == "0.0.0.0"
    assert variables["SLIPWAY_MODELS"] == "/models"
    assert {name for name in variables if name.startswith("SLIPWAY_")} <= SETTABLE


def test_the_label_holds_the_version_of_the_project() -> None:
    assert f"VERSION={pyproject()['project']['version']}" in of("bare", "ARG")


def test_every_file_that_is_copied_is_let_through_to_the_build() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignore
    let_through = {line[1:] for line in ignore if line.startswith("!")}
    copies = [i.rest for i in instructions() if i.word == "COPY" and "--from" not in i.rest]
    sources = {source for copy in copies for source in copy.split()[:-1]}
    assert {source.split("/")[0] for source in sources} == let_through
    for name in let_through:
        assert (ROOT / name).exists()


def test_the_gpu_lock_replaces_onnxruntime_by_the_same_version() -> None:
    lock = (ROOT / "requirements-gpu.lock").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", lock, re.MULTILINE))
    assert len(pins) == len(re.findall(r"--hash=sha256:[0-9a-f]{64}$", lock, re.MULTILINE))
    serve = (ROOT / "requirements-tracing.lock").read_text(encoding="utf-8")
    assert f"onnxruntime=={pins.pop('onnxruntime-gpu')} \\" in serve
    assert all(name.startswith("nvidia-") for name in pins)


def test_the_gpu_build_takes_everything_else_from_the_lock_of_the_server() -> None:
    (script,) = [run for run in of("build", "RUN") if "sed" in run]
    edit = re.search(r"sed '([^']+)' requirements-tracing\.lock", script)
    assert edit
    done = subprocess.run(
        ["sed", edit[1], "requirements-tracing.lock"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    kept = re.findall(r"^(\S+)==", done.stdout, re.MULTILINE)
    serve = (ROOT / "requirements-tracing.lock").read_text(encoding="utf-8")
    every = re.findall(r"^(\S+)==", serve, re.MULTILINE)
    assert kept == [name for name in every if name != "onnxruntime"]
    after = done.stdout.split("numpy==")[1].split("opentelemetry-api==")[0]
    assert after.count("==") == 0
    assert "--hash" in after


def is_healthy(port: int) -> bool:
    python, *arguments = health_command()
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *arguments], env={"SLIPWAY_PORT": str(port)}, check=False, timeout=30
    )
    assert done.returncode in (0, 1)
    return done.returncode == 0


@pytest.mark.e2e
def test_the_health_check_tells_ready_from_draining_and_from_gone(tmp_path: Path) -> None:
    zoo = tiny_zoo.build(tmp_path / "zoo").root
    options = ("--models", str(zoo), "--pre-drain-s", "60")
    with running(tmp_path / "home", *options) as server:
        port = int(server.url.rpartition(":")[2])
        assert is_healthy(port)
        server.signal()
        while server.client.get("/readyz").status_code == 200:
            pass
        assert not is_healthy(port)
        server.signal()
        server.wait()
        assert not is_healthy(port)

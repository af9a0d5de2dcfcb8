"""The rendered Deployment as a pod that runs: init containers, confinement, answers, the way out.

Podman takes the part of the kubelet. It has no Service, NetworkPolicy or preStop, and its probes
want curl in the image, so that here their paths are asked by hand. The pod has no network at all:
every request comes from within.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

from service.settings import Settings
from tests import tiny_zoo
from tests.container.docker import allow_all_to_read, run
from tests.k8s.manifests import K8S, Object, amount, kubectl, render, server, settings, yaml

PODMAN = os.environ.get("PODMAN", "")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not PODMAN, reason="needs podman; run make test-k8s"),
    pytest.mark.skipif(kubectl() is None, reason="needs a kubectl that renders"),
]

OVERLAY = K8S / "overlays" / "models-copied"
START_S = 120.0
ASK = """
import http.client, json, sys
method, path, body = sys.argv[1:]
link = http.client.HTTPConnection("127.0.0.1", 8000, timeout=60)
link.request(method, path, body or None)
answer = link.getresponse()
print(json.dumps([answer.status, answer.read().decode()]))
"""
LOOK = """
import json, os
from pathlib import Path
from service.runtime.threads import available_cpus
status = dict(line.split(":\\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
def writes(folder):
    try:
        Path(folder, "probe").write_text("x")
    except OSError:
        return False
    return True
print(json.dumps({
    "ids": [os.getuid(), os.getgid()],
    "capabilities": status["CapEff"].strip(),
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "seccomp": status["Seccomp"].strip(),
    "writable": [folder for folder in ("/", "/opt/slipway", "/models", "/tmp") if writes(folder)],
    "cpus": available_cpus(),
    "settings": {name: value for name, value in os.environ.items() if name.startswith("SLIPWAY_")},
}))
"""


@pytest.fixture(autouse=True)
def blockbuster() -> BlockBuster | None:
    """These tests have no event loop of ours to guard."""
    return None


def podman(*arguments: str, timeout_s: float = 300.0) -> str:
    return run(PODMAN, *arguments, timeout_s=timeout_s)


def deployment() -> Object:
    return next(found for found in render(OVERLAY) if found["kind"] == "Deployment")


def playable() -> str:
    """The Deployment and its settings as podman can take them."""
    objects = {found["kind"]: found for found in render(OVERLAY)}
    played: Object = json.loads(json.dumps(deployment()))
    played["spec"]["replicas"] = 1
    played["spec"]["template"]["spec"]["restartPolicy"] = "Never"  # to see the exit code
    for field in ("startupProbe", "readinessProbe", "livenessProbe", "ports"):
        del server(played)[field]
    return str(yaml.safe_dump_all([objects["ConfigMap"], played]))


def pack_models(folder: Path, image: str) -> None:
    """An image of models, as docs/kubernetes.md says, on one that has cp."""
    base = server(deployment())["image"]
    (folder / "Dockerfile").write_text(f"FROM {base}\nCOPY zoo /models\n")
    podman("build", "--tag", image, str(folder))


def play(folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "slipway.yaml"
    file.write_text(playable(), encoding="utf-8")
    command = [PODMAN, "kube", "play", "--network", "none", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def container(name: str) -> str:
    """How podman calls this container of the pod; the rest of its name is podman's own."""
    names = podman("ps", "--all", "--format", "{{.Names}}").split()
    return next(found for found in names if found.endswith(f"-{name}"))


def remove_pods() -> None:
    podman("pod", "rm", "--all", "--force")


def python(script: str, *arguments: str) -> Any:
    """What a script in the server's container prints, as JSON."""
    return json.loads(podman("exec", container("server"), "python", "-c", script, *arguments))


def ask(method: str, path: str, body: str = "") -> tuple[int, str]:
    status, text = python(ASK, method, path, body)
    return status, text


def until_ready() -> float:
    began_s = time.monotonic()
    while time.monotonic() - began_s < START_S:
        try:
            if ask("GET", "/readyz")[0] == 200:
                return time.monotonic() - began_s
        except AssertionError:  # the port is not open yet
            time.sleep(0.2)
    raise AssertionError(podman("logs", container("server")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_zoo.build(tmp_path / "zoo")
    return allow_all_to_read(tmp_path)


@pytest.fixture
def pod(folder: Path) -> Iterator[Object]:
    """The pod is started; the Deployment that it is of."""
    pack_models(folder, "slipway-models:1")
    played = play(folder)
    try:
        assert played.returncode == 0, played.stderr
        yield deployment()
    finally:
        remove_pods()


def test_the_pod_serves_confined_and_leaves_in_order(pod: Object) -> None:
    assert until_ready() < START_S
    assert ask("GET", "/livez")[0] == 200
    status, text = ask("POST", "/v1/sentiment", '{"text": "A film to remember."}')
    assert status == 200
    assert "label" in text
    check_confinement(server(pod)["resources"]["limits"])

    grace_s = pod["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    pre_drain_s = Settings.load(environ=settings()).pre_drain_s
    name = container("server")
    with ThreadPoolExecutor() as pool:
        leaving = pool.submit(podman, "wait", name)
        began_s = time.monotonic()
        podman("kill", "--signal", "TERM", name)
        assert ask("GET", "/readyz")[0] == 503
        assert ask("POST", "/v1/translate", '{"text": "A dog runs."}')[0] == 200
        assert leaving.result(timeout=120) == "0"
    assert pre_drain_s <= time.monotonic() - began_s < grace_s


def check_confinement(limits: dict[str, str]) -> None:
    found = python(LOOK)
    assert found["ids"] == [10001, 10001]
    assert int(found["capabilities"], 16) == 0
    assert found["no_new_privileges"] == "1"
    assert found["seccomp"] == "2"
    assert found["writable"] == ["/tmp"]
    assert found["cpus"] == amount(limits["cpu"])
    assert settings("cpu", "models-mounted").items() <= found["settings"].items()
    host = json.loads(podman("inspect", container("server")))[0]["HostConfig"]
    assert host["Memory"] == amount(limits["memory"])
    assert host["ReadonlyRootfs"]


def test_a_model_that_is_not_the_published_one_never_serves(folder: Path) -> None:
    graph = next((folder / "zoo").rglob("*.onnx"))
    data = graph.read_bytes()
    graph.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    pack_models(folder, "slipway-models:1")
    try:
        played = play(folder)
        state = json.loads(podman("inspect", container("server")))[0]["State"]
        told = podman("logs", container("check-models"))
    finally:
        remove_pods()
    assert played.returncode != 0
    assert not state["Running"]
    assert "broken" in told

"""The files below k8s/ as they are written, and what they become when kubectl renders them."""

import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

yaml: Any = importlib.import_module("yaml")  # by name, since it comes without types

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
SERVER = K8S / "base" / "server"
OVERLAYS = sorted(path.parent.name for path in (K8S / "overlays").glob("*/kustomization.yaml"))
COMPONENTS = sorted(path.parent.name for path in (K8S / "components").glob("*/kustomization.yaml"))
FILES = sorted(K8S.rglob("*.yaml"))

# 1.27 is the first kubectl whose kustomize knows all that the overlays use.
OLDEST_KUBECTL = (1, 27)
UNITS = {"": 1, "m": 0.001, "Mi": 1 << 20, "Gi": 1 << 30}

Object = dict[str, Any]


def read(path: Path) -> Any:
    """The one document of a file, or None for an empty one."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def component(name: str, file: str = "kustomization.yaml") -> Any:
    return read(K8S / "components" / name / file)


def deployment() -> Object:
    return dict(read(SERVER / "deployment.yaml"))


def server(of: Object | None = None) -> Object:
    """The container that serves."""
    pod = (of or deployment())["spec"]["template"]["spec"]
    return next(found for found in pod["containers"] if found["name"] == "server")


def settings(*components: str) -> dict[str, str]:
    """The variables of the ConfigMap, as these components leave them."""
    lines = (SERVER / "settings.env").read_text(encoding="utf-8").splitlines()
    for name in components:
        for generator in component(name).get("configMapGenerator", []):
            lines += generator["literals"]
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def walk(value: Any) -> Iterator[Any]:
    """The value and all that is in it, at any depth."""
    yield value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in inside:
        yield from walk(part)


def containers(value: Any) -> list[Object]:
    """Whatever looks like a complete container, wherever it is."""
    return [part for part in walk(value) if isinstance(part, dict) and {"name", "image"} <= {*part}]


def amount(quantity: str) -> float:
    """What Kubernetes means by 500m or 2Gi."""
    found = re.fullmatch(r"(\d+)(\D*)", quantity)
    assert found is not None, quantity
    return int(found[1]) * UNITS[found[2]]


@cache
def kubectl() -> str | None:
    """A kubectl that can render; SLIPWAY_KUBECTL names one that is not on the path."""
    program = os.environ.get("SLIPWAY_KUBECTL") or shutil.which("kubectl")
    if program is None:
        return None
    told = subprocess.run([program, "version", "--client"], capture_output=True, text=True)
    found = re.search(r"Client Version: v(\d+)\.(\d+)", told.stdout)
    return program if found and (int(found[1]), int(found[2])) >= OLDEST_KUBECTL else None


@cache
def render(folder: Path) -> tuple[Object, ...]:
    """The objects of a kustomization; SystemExit says what is wrong with it."""
    program = kubectl()
    assert program is not None, "no kubectl"
    done = subprocess.run([program, "kustomize", str(folder)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{folder} cannot be rendered: {done.stderr.strip()}")
    return tuple(yaml.safe_load_all(done.stdout))

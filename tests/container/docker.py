"""Calls the container engine that `make test-container` provides."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ENGINE = os.environ.get("CONTAINER_ENGINE", "")
BASE_IMAGE = os.environ.get("BASE_IMAGE", "python:3.11-slim")
BUILD_S = 900.0

needs_engine = pytest.mark.skipif(
    not ENGINE, reason="needs a container engine; run make test-container"
)


def run(*command: str, timeout_s: float = 120.0, **options: Any) -> str:
    """Run a command; its output. Fails with what it said."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, check=False, **options
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    output: str = done.stdout
    return output.strip()


def says(*command: str) -> bool:
    """Whether a command succeeds."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def docker(*arguments: str, timeout_s: float = 120.0) -> str:
    return run(ENGINE, *arguments, timeout_s=timeout_s)


def inspect(name: str, *, kind: str = "container") -> dict[str, Any]:
    (found,) = json.loads(docker(kind, "inspect", name))
    return dict(found)


def build(folder: Path, tag: str, *options: str) -> str:
    """Build an image on BASE_IMAGE; its tag. The network's own authority goes to pip alone."""
    bundle = os.environ.get("PIP_CERT")
    secret = ["--secret", f"id=ca_bundle,src={bundle}"] if bundle else []
    base = ["--build-arg", f"BASE_IMAGE={BASE_IMAGE}"]
    docker("build", *base, *secret, *options, "--tag", tag, str(folder), timeout_s=BUILD_S)
    return tag


def allow_all_to_read(folder: Path) -> Path:
    """For a user in a container that is none here."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    return folder

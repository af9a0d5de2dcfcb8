"""What an install brings: locked by hash, and torch only where it is asked for."""

import re
import shutil
import subprocess

import pytest
from packaging.requirements import Requirement

from tests.project.tree import ROOT, pyproject

SERVE, BUILD, DEV = "requirements.lock", "requirements-build.lock", "requirements-dev.lock"
TRACING = "requirements-tracing.lock"
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+) \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lines(lock: str) -> list[str]:
    text = (ROOT / lock).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins(lock: str) -> dict[str, str]:
    found = [PIN.match(line) for line in lines(lock)]
    return {pin["name"]: pin["version"] for pin in found if pin}


def wanted(*extras: str) -> list[Requirement]:
    project = pyproject()["project"]
    extra = [line for name in extras for line in project["optional-dependencies"][name]]
    return [Requirement(line) for line in project["dependencies"] + extra]


@pytest.mark.parametrize("lock", [SERVE, BUILD, DEV, TRACING])
def test_a_lock_holds_versions_and_hashes_and_no_address(lock: str) -> None:
    assert pins(lock)
    for line in lines(lock):
        assert PIN.match(line) or HASH.match(line), line


@pytest.mark.parametrize("lock", [SERVE, BUILD, DEV, TRACING])
def test_every_pin_has_a_hash(lock: str) -> None:
    found = lines(lock)
    for line, following in zip(found, [*found[1:], ""], strict=True):
        if PIN.match(line):
            assert HASH.match(following), line


@pytest.mark.parametrize(
    ("lock", "extras"),
    [(SERVE, ()), (TRACING, ("tracing",)), (DEV, ("export", "test", "dev", "tracing"))],
    ids=["serve", "tracing", "dev"],
)
def test_a_lock_satisfies_what_the_project_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    locked = pins(lock)
    for requirement in wanted(*extras):
        if requirement.name != "torch":
            assert requirement.specifier.contains(locked[normal(requirement.name)]), requirement


def test_serving_and_development_run_the_same_versions() -> None:
    serve, tracing, dev = pins(SERVE), pins(TRACING), pins(DEV)
    assert serve.items() < tracing.items() < dev.items()


def test_no_lock_holds_torch_and_the_makefile_installs_the_version_of_the_project() -> None:
    assert not any("torch" in pins(lock) for lock in (SERVE, BUILD, DEV))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "torch==2.13.0" in pyproject()["project"]["optional-dependencies"]["export"]
    assert "\nTORCH := torch==2.13.0\n" in makefile


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("target", "installs"), [("serve", False), ("check", False), ("test", True), ("export", True)]
)
def test_make_installs_torch_for_nothing_but_test_and_export(target: str, installs: bool) -> None:
    # with make's own settings gone: this test itself runs under `make test`
    done = subprocess.run(
        ["make", "--dry-run", target, "VENV=.no-such-environment"],
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pip" in done.stdout
    assert ("install torch==2.13.0" in done.stdout) == installs
    assert ("torch" in done.stdout) == installs


def test_every_package_folder_is_found_by_the_packager() -> None:
    """A folder of modules without __init__.py would be missing from an installed Slipway."""
    for package in ("service", "export", "model_zoo"):
        for module in (ROOT / package).rglob("*.py"):
            assert (module.parent / "__init__.py").is_file(), module

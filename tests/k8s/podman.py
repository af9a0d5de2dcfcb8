"""Runs a command with podman and the image of the server at hand, where podman can be had.

    python -m tests.k8s.podman COMMAND [ARGUMENT …]

As root, and with Debian's packages where podman is not there yet. Images and pods lie in a folder
that is gone afterwards. The command finds podman in PODMAN; without it, what needs it is skipped.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.container.engine import NoEngine, base_image
from tests.k8s.manifests import ROOT, SERVER, read

PACKAGES = ("podman", "runc", "catatonit", "mmdebstrap")
CONF = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=8192:8192"]
"""
WRAPPER = """\
#!/bin/sh
export CONTAINERS_CONF={folder}/containers.conf
exec podman --root {folder}/storage --runroot {folder}/run --tmpdir {folder}/tmp "$@"
"""


def main(command: list[str]) -> int:
    """Run the command; its exit code."""
    if reason := install():
        sys.stderr.write(f"No pod is run: {reason}\n")
        return subprocess.run(command, check=False).returncode
    try:
        with podman() as environment:
            return subprocess.run(command, env=environment, check=False).returncode
    except NoEngine as error:
        sys.stderr.write(f"{error}\n")
        return 1


def install() -> str | None:
    """Debian's podman, if need be; why it cannot be had."""
    missing = [name for name in PACKAGES if not installed(name)]
    if os.geteuid() != 0:
        return "that takes root"
    if missing and not (shutil.which("apt-get") and shutil.which("dpkg")):
        return f"{', '.join(missing)} cannot be installed without apt"
    if not missing:
        return None
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "--no-install-recommends"]
    for arguments in (["update"], ["install", *missing]):
        if subprocess.run([*apt, *arguments], env=quiet, check=False).returncode:
            return f"apt-get {arguments[0]} failed"
    return None


def installed(package: str) -> bool:
    if shutil.which(package):
        return True
    told = subprocess.run(["dpkg", "-s", package], capture_output=True, check=False)
    return told.returncode == 0


@contextmanager
def podman() -> Iterator[dict[str, str]]:
    """An environment with PODMAN, whose storage holds the image that the manifests name."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-podman-", dir="/var/tmp"))
    (folder / "containers.conf").write_text(CONF, encoding="utf-8")
    wrapper = folder / "podman"
    wrapper.write_text(WRAPPER.format(folder=folder), encoding="utf-8")
    wrapper.chmod(0o755)
    environment = {**os.environ, "CONTAINER_ENGINE": str(wrapper), "PODMAN": str(wrapper)}
    try:
        build(folder, {**environment, **base_image(environment)})
        yield environment
    finally:
        for command in (["pod", "rm", "--all", "--force"], ["rm", "--all", "--force"]):
            subprocess.run([wrapper, *command], capture_output=True, check=False)
        for mount in mounts_below(folder):
            subprocess.run(["umount", mount], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def mounts_below(folder: Path) -> list[str]:
    """The innermost first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted((found for found in mounts if found.startswith(f"{folder}/")), reverse=True)


def image() -> str:
    (found,) = read(SERVER / "kustomization.yaml")["images"]
    return f"{found['name']}:{found['newTag']}"


def build(folder: Path, environment: Mapping[str, str]) -> None:
    """The image without models, under the name in the manifests."""
    # Podman 4.3 does not find a stage whose name is made of an argument.
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = text.replace("runtime-${FLAVOUR}", "runtime-cpu")
    (folder / "Dockerfile").write_text(text, encoding="utf-8")
    bundle = environment.get("PIP_CERT")
    secret = ["--secret", f"id=ca_bundle,src={bundle}"] if bundle else []
    base = ["--build-arg", f"BASE_IMAGE={environment['BASE_IMAGE']}"]
    where = ["--file", str(folder / "Dockerfile"), "--target", "bare", "--tag", image()]
    command = [environment["PODMAN"], "build", *base, *secret, *where, str(ROOT)]
    if subprocess.run(command, env=environment, check=False).returncode:
        raise NoEngine("Podman does not build the image.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

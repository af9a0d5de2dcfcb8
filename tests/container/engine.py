"""Runs a command with a container engine at hand: the one that is there, or one of its own.

    python -m tests.container.engine [--if-possible] COMMAND [ARGUMENT …]

Where no engine answers and we are root on Debian, its packages are installed and a daemon is
started whose images, sockets and networks are gone afterwards. The command finds the client in
CONTAINER_ENGINE, and in BASE_IMAGE a base to build on where the usual one cannot be pulled.
With --if-possible the command is left out, with a word why, where no engine can be had.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PACKAGES = (
    *("docker.io", "docker-compose", "iproute2", "mmdebstrap"),
    *("nginx-light", "prometheus"),  # for tests beside it
)
CLIENTS = ("/usr/bin/docker", "docker")  # Debian's has BuildKit built in; another may lack it
DEFAULT_BASE = "python:3.11-slim"
OWN_BASE = "slipway-base:bookworm"
IN_BASE = "python3,python3-venv,usr-is-merged"
IF_POSSIBLE = "--if-possible"
START_S, STOP_S, PULL_S = 60.0, 60.0, 300.0
# What Debian's own slim images leave out.
OPTIONS = tuple(
    f"--dpkgopt=path-{rule}"
    for rule in (
        "exclude=/usr/share/doc/*",
        "include=/usr/share/doc/*/copyright",
        "exclude=/usr/share/man/*",
        "exclude=/usr/share/locale/*",
        "include=/usr/share/locale/locale.alias",
    )
)
# As the official Python image has it: without Perl, whose only user has done its work, without
# bytecode, and with nothing left that could install more.
HOOKS = (
    'chroot "$1" apt-get --quiet --yes purge usrmerge perl perl-modules-5.36 libperl5.36 '
    "libfile-find-rule-perl libnumber-compare-perl libtext-glob-perl libgdbm6 libgdbm-compat4",
    'ln -s /usr/bin/python3 "$1/usr/local/bin/python"',
    'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
    'rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d "$1"/var/log/*',
    'find "$1/usr" -name __pycache__ -prune -exec rm -r {} +',
)


class NoEngine(Exception):
    """No engine answers and none can be installed."""


def main(words: list[str]) -> int:
    """Run the command; its exit code, or if there is no engine 1, or 0 with --if-possible."""
    may_skip = words[:1] == [IF_POSSIBLE]
    command = words[may_skip:]
    try:
        with engine() as environment:
            base = base_image(environment)
            return subprocess.run(command, env={**environment, **base}, check=False).returncode
    except (NoEngine, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        if may_skip:
            sys.stderr.write("No container is built or run.\n")
        return 0 if may_skip else 1


@contextmanager
def engine() -> Iterator[dict[str, str]]:
    """An environment in which CONTAINER_ENGINE is a client whose engine answers."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1"}
    client = answering_client(environment)
    if client:
        yield {**environment, "CONTAINER_ENGINE": client}
        return
    install()
    with daemon() as address:
        environment["DOCKER_HOST"] = address
        client = answering_client(environment)
        if not client:
            raise NoEngine("The engine that was installed does not answer.")
        yield {**environment, "CONTAINER_ENGINE": client}


def answering_client(environment: Mapping[str, str]) -> str | None:
    """The first client that reaches an engine."""
    return next((c for c in CLIENTS if shutil.which(c) and says([c, "info"], environment)), None)


def says(command: list[str], environment: Mapping[str, str], timeout_s: float = 30.0) -> bool:
    """Whether the command succeeds in time."""
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def install() -> None:
    """Debian's engine and what the tests want beside it; no service is started by that."""
    missing = [name for name in PACKAGES if not says(["dpkg", "-s", name], os.environ)]
    if missing and (os.geteuid() != 0 or not shutil.which("apt-get")):
        raise NoEngine(
            "No container engine answers. Start Docker, or run this as root on Debian, where it "
            f"installs {', '.join(missing)} by itself."
        )
    if missing:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        apt = ["apt-get", "-q", "-y", "--no-install-recommends"]
        subprocess.run([*apt, "update"], env=quiet, check=True)
        subprocess.run([*apt, "install", *missing], env=quiet, check=True)


@contextmanager
def daemon() -> Iterator[str]:
    """A daemon in a folder of its own; its address."""
    had_bridge = Path("/sys/class/net/docker0").exists()
    folder = Path(tempfile.mkdtemp(prefix="slipway-engine-", dir="/var/tmp"))
    address = f"unix://{folder}/docker.sock"
    firewall = subprocess.run(["iptables-save"], capture_output=True, check=False).stdout
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "/usr/sbin/dockerd",
                f"--data-root={folder}/data",
                f"--exec-root={folder}/exec",
                f"--pidfile={folder}/pid",
                f"--host={address}",
                "--default-ulimit=nofile=16384:16384",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(process, address, folder / "log")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=STOP_S)
        for left in (folder / "exec" / "netns").glob("*"):
            subprocess.run(["umount", str(left)], capture_output=True, check=False)
        subprocess.run(["iptables-restore"], input=firewall, capture_output=True, check=False)
        if not had_bridge:
            subprocess.run(["ip", "link", "del", "docker0"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    """Return when the daemon answers; raise NoEngine with its last words if it does not."""
    environment = {**os.environ, "DOCKER_HOST": address}
    deadline_s = time.monotonic() + START_S
    while not answering_client(environment):
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise NoEngine(f"The engine does not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)


def base_image(environment: Mapping[str, str]) -> dict[str, str]:
    """BASE_IMAGE for the build: what was asked for, the usual base, or one made from packages."""
    if environment.get("BASE_IMAGE"):
        return {}
    client = environment["CONTAINER_ENGINE"]
    for command, patience_s in (("inspect", 30.0), ("pull", PULL_S)):
        if says([client, "image", command, DEFAULT_BASE], environment, patience_s):
            return {"BASE_IMAGE": DEFAULT_BASE}
    if not says([client, "image", "inspect", OWN_BASE], environment):
        bootstrap(client, environment)
    return {"BASE_IMAGE": OWN_BASE}


def bootstrap(client: str, environment: Mapping[str, str]) -> None:
    """Make a base with Python from Debian's packages, where no registry can be reached."""
    if not shutil.which("mmdebstrap"):
        raise NoEngine(f"{DEFAULT_BASE} cannot be pulled; name another in BASE_IMAGE.")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        archive = f"{folder}/base.tar"
        hooks = [f"--customize-hook={hook}" for hook in HOOKS]
        subprocess.run(
            [
                "mmdebstrap",
                "--variant=minbase",
                f"--include={IN_BASE}",
                *OPTIONS,
                *hooks,
                "bookworm",
                archive,
            ],
            check=True,
        )
        subprocess.run([client, "import", archive, OWN_BASE], env=environment, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

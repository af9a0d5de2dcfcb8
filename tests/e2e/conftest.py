"""The real process: started as a user starts it, asked over a real socket, stopped by a signal."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from blockbuster import BlockBuster

from tests import tiny_zoo

ROOT = Path(__file__).parents[2]
STOP_S = 60.0


@pytest.fixture(autouse=True)
def blockbuster() -> BlockBuster | None:
    """These tests have no event loop of ours to guard."""
    return None


class Server:
    """A running `slipway serve`, with a home of its own; one process unless told otherwise."""

    def __init__(self, home: Path, *arguments: str, module: str = "service") -> None:
        arguments = ("--workers", "1", *arguments)
        self.home = home
        self.log = home.parent / f"{home.name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "serve", "--port", "0", *arguments],
                cwd=ROOT,
                env=environment(home),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.url = self._address()
        self.client = httpx.Client(base_url=self.url, timeout=60.0)

    def _address(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("Slipway answers at "):
                return line.split()[3]
        raise AssertionError(f"did not start:\n{self.log.read_text()}")

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(timeout=STOP_S)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.signal()
        return self.wait()

    def in_flight(self) -> int:
        """Requests that wait for an answer, this one not counted."""
        page = self.client.get("/metrics").text
        line = next(x for x in page.splitlines() if x.startswith("slipway_inflight_requests "))
        return round(float(line.split()[1])) - 1

    def left_behind(self) -> list[Path]:
        """Files that the process wrote into its home."""
        return [path for path in self.home.rglob("*") if path.is_file()]


def environment(home: Path) -> dict[str, str]:
    """Of this process, less the settings of Slipway, with another home."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLIPWAY_", "XDG_", "ORT_"))}
    return {**kept, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def running(home: Path, *arguments: str, module: str = "service") -> Iterator[Server]:
    """A server that is gone afterwards, whatever happens; `module` stands in for `service`."""
    home.mkdir(parents=True, exist_ok=True)
    server = Server(home, *arguments, module=module)
    try:
        yield server
    finally:
        server.client.close()
        server.process.kill()
        server.process.wait()
        assert server.process.stdout is not None
        server.process.stdout.close()


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_zoo.build(tmp_path_factory.mktemp("zoo")).root


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Iterator[Server]:
    """One server with the tiny models for all tests of a module."""
    home = tmp_path_factory.mktemp("server") / "home"
    with running(home, "--models", str(tiny_models)) as server:
        yield server

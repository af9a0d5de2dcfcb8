"""The service as a process of its own on chosen cores, and what its metrics say."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bench.place import ROOT, Place
from service.load.target import Target

STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class Serving:
    """A running service."""

    target: Target
    process_id: int

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name with these labels."""
        with urllib.request.urlopen(f"{self.target.url}/metrics", timeout=30) as page:
            families = list(text_string_to_metric_families(page.read().decode()))
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def cpu_s(self) -> float:
        """Processor time of all its threads so far, in the finest unit there is."""
        total = 0
        for process in (self.process_id, *_children(self.process_id)):
            for thread in Path(f"/proc/{process}/task").iterdir():
                total += int((thread / "schedstat").read_text().split()[0])
        return total / 1e9


@contextmanager
def serving(
    place: Place, *arguments: str, cores: set[int] | frozenset[int] | None = None
) -> Iterator[Serving]:
    """`slipway serve` with the given models until the block ends; by default on the one core."""
    chosen = cores or {place.core}
    command = [sys.executable, "-m", "service", "serve", "--port", "0"]
    command += ["--models", str(place.models), "--no-strict", *place.serve, *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: os.sched_setaffinity(0, chosen),
    )
    try:
        yield Serving(Target.parse(_address(process)), process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Slipway answers at "):
            return line.split()[3]
    raise SystemExit("the service did not start; run the same command by hand to see why")


def _children(process_id: int) -> list[int]:
    path = Path(f"/proc/{process_id}/task/{process_id}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []

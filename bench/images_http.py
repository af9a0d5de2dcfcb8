"""How much of one core's image throughput is left over HTTP.

The ceiling is what a loop of decoding and ONNX Runtime does alone on that core, at its best batch
size; the service answers small JPEGs of 32 keep-alive clients on the same core, while the load
comes from another. Both take turns in short rounds, so that a noisy machine disturbs both alike.

    python -m bench.images_http --models model_zoo --rounds 5
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from bench.http_load import Load, drive
from bench.pictures import small_jpegs

BATCH_SIZES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of each: images a second, and processor seconds an image."""

    ceiling_rate: float
    ceiling_cpu_s: float
    service_rate: float
    service_cpu_s: float
    p50_ms: float
    p99_ms: float

    @property
    def ratio(self) -> float:
        """Of images a second; what a user sees, and what a busy machine distorts."""
        return self.service_rate / self.ceiling_rate

    @property
    def cpu_ratio(self) -> float:
        """Of processor time an image; the same on a quiet machine, steadier on a busy one."""
        return self.ceiling_cpu_s / self.service_cpu_s


class Ceiling:
    """A process that decodes and runs batches on command."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.image_ceiling", str(options.models), options.model or ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {options.core}),
        )
        self._ask("0 1")
        probes = {size: self.measure(0.5, size) for size in BATCH_SIZES}
        self.batch_size = min(probes, key=lambda size: probes[size][1])

    def measure(self, seconds: float, batch_size: int | None = None) -> tuple[float, float]:
        """Images a second, and processor seconds an image."""
        rate, cpu_s = self._ask(f"{seconds} {batch_size or self.batch_size}").split()
        return float(rate), float(cpu_s)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


@contextmanager
def service(options: argparse.Namespace) -> Iterator[tuple[str, int, int]]:
    """The service on its core: host, port, process id."""
    command = [sys.executable, "-m", "service", "serve", "--port", "0"]
    command += ["--models", str(options.models), "--log-level", options.log_level]
    command += ["--no-strict", *options.serve]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {options.core}),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        host, port = line.split()[3].removeprefix("http://").split(":")
        yield host, int(port), process.pid
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(process_id: int) -> float:
    """Processor time of all threads of the process so far, in its finest unit."""
    total = 0
    for thread in Path(f"/proc/{process_id}/task").iterdir():
        total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


async def measure(options: argparse.Namespace) -> tuple[int, list[Round]]:
    """The ceiling's best batch size, and the rounds."""
    os.sched_setaffinity(0, {options.load_core})
    images = small_jpegs(256)
    rounds = []
    ceiling = Ceiling(options)
    query = f"?model={options.model}" if options.model else ""
    with service(options) as (host, port, process_id):
        load = Load(host, port, f"/v1/classify{query}", images, clients=options.clients)
        await drive(load, 1.0)
        for number in range(options.rounds):
            rate, cpu_s = ceiling.measure(options.seconds)
            before_s = cpu_seconds(process_id)
            seen = await drive(load, options.seconds)
            used_s = cpu_seconds(process_id) - before_s
            found = Round(rate, cpu_s, seen.rate, used_s / seen.answers, seen.p50_ms, seen.p99_ms)
            rounds.append(found)
            Console(stderr=True).print(
                f"round {number + 1}: {found.service_rate:.0f} of {found.ceiling_rate:.0f}/s, "
                f"ratio {found.ratio:.3f}, by processor time {found.cpu_ratio:.3f}"
            )
    ceiling.close()
    return ceiling.batch_size, rounds


def report(options: argparse.Namespace, batch_size: int, rounds: list[Round]) -> None:
    """A table for people and, if asked for, JSON for machines."""
    middle = {
        name: statistics.median(getattr(found, name) for found in rounds)
        for name in (*asdict(rounds[0]), "ratio", "cpu_ratio")
    }
    table = Table(title=f"{options.clients} clients, one core, median of {len(rounds)} rounds")
    for title in ("", "images/s", "processor us/image", "p50 ms", "p99 ms"):
        table.add_column(title, justify="left" if title == "" else "right")
    table.add_row(
        f"decode + ONNX Runtime (batch {batch_size})",
        f"{middle['ceiling_rate']:.0f}",
        f"{middle['ceiling_cpu_s'] * 1e6:.0f}",
    )
    table.add_row(
        "service over HTTP",
        f"{middle['service_rate']:.0f}",
        f"{middle['service_cpu_s'] * 1e6:.0f}",
        f"{middle['p50_ms']:.1f}",
        f"{middle['p99_ms']:.1f}",
    )
    table.add_row("ratio", f"{middle['ratio']:.3f}", f"{middle['cpu_ratio']:.3f}")
    Console().print(table)
    if options.json:
        content = {
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "clients": options.clients,
            "ceiling_batch_size": batch_size,
            "median": middle,
            "rounds": [asdict(found) for found in rounds],
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n")


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", type=Path, default=Path("model_zoo"))
    parser.add_argument("--model", help="[the default model for images]")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, default=0, help="of what is measured")
    parser.add_argument("--load-core", type=int, default=1, help="of the load")
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("serve", nargs="*", help="more arguments for `slipway serve`, after --")
    options = parser.parse_args()
    report(options, *uvloop.run(measure(options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Two replicas behind nginx, restarted one after the other under load: what does a client see?

    python -m bench.proxy_restart                # a minute with the published models
    python -m bench.proxy_restart --seconds 10 --clients 4 --pre-drain-s 1

Each replica gets SIGTERM, answers what it has, is started again and, once it is ready, the other
one's turn comes, until the time is over. All three tasks are asked all the while, by clients that
keep their connections to nginx. Exit code 1 when a request got anything but a 200, or when a
replica did not leave with 0. Needs nginx (apt-get install nginx-light).
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from bench.place import ROOT
from bench.proxy import free_port, proxy
from model_zoo.catalog import DEFAULT_ROOT
from service.load.drive import GRACE_S, connect_to, run_closed
from service.load.native import TASKS, native_requests
from service.load.samples import percentile
from service.load.target import Target

READY_S, STOP_S = 60.0, 120.0
PAYLOADS = 200


@dataclass(slots=True)
class Report:
    """What clients and replicas went through. `failed` are requests without a 200."""

    seconds: float
    requests: int = 0
    failed: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    slowest_ms: float = 0.0
    restarts: int = 0
    exit_codes: list[int] = field(default_factory=list)


class Replica:
    """One `slipway serve` on a port of its own that can be started again."""

    def __init__(self, port: int, arguments: list[str]) -> None:
        self.port = port
        self._command = [sys.executable, "-m", "service", "serve", "--port", str(port), *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it is ready. Raises SystemExit when it leaves or takes too long."""
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline_s = time.monotonic() + READY_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit(f"it does not start; see {' '.join(self._command)}")
            time.sleep(0.05)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(STOP_S)

    def kill(self) -> None:
        """Whatever happened before."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as told:
                return bool(told.status == 200)
        except OSError:
            return False


def restart_under_load(
    models: Path, *, seconds: float, clients: int, pre_drain_s: float = 0.0
) -> Report:
    """Run it; see the module. `clients` ask in turn for all three tasks."""
    arguments = ["--models", str(models), "--threads", "1", "--pre-drain-s", str(pre_drain_s)]
    replicas = [Replica(free_port(), arguments) for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        try:
            for replica in replicas:
                replica.start()
            with proxy([replica.port for replica in replicas], Path(folder)) as port:
                return asyncio.run(_drive(port, replicas, seconds, clients))
        finally:
            for replica in replicas:
                replica.kill()


async def _drive(port: int, replicas: list[Replica], seconds: float, clients: int) -> Report:
    target = Target("127.0.0.1", port)
    of_each = [native_requests(target, task, count=PAYLOADS) for task in TASKS]
    requests = [request for some in zip(*of_each, strict=True) for request in some]
    report = Report(seconds)
    restarting = asyncio.create_task(asyncio.to_thread(_restart, replicas, seconds, report))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("asking", total=None)
        samples, report.seconds = await run_closed(
            connect_to(target),
            requests,
            clients=clients,
            seconds=seconds,
            on_answer=lambda _: progress.advance(bar),
        )
    await restarting
    ordered = sorted(samples.latencies_s(*set(samples.status)))
    report.statuses = dict(Counter(samples.status))
    report.requests = len(samples.status)
    report.failed = report.requests - report.statuses.get(200, 0)
    if report.seconds >= seconds + GRACE_S:
        report.failed += 1  # at least one never had an answer
    report.p50_ms, report.p99_ms = (percentile(ordered, share) * 1000 for share in (50.0, 99.0))
    report.slowest_ms = ordered[-1] * 1000
    return report


def _restart(replicas: list[Replica], seconds: float, report: Report) -> None:
    """One after the other, for so long; each turn is finished."""
    until_s = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < until_s:
        replica = replicas[turn % len(replicas)]
        report.exit_codes.append(replica.stop())
        replica.start()
        report.restarts += 1
        turn += 1


def main() -> int:
    """Exit code 1 when anything failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--clients", type=int, default=8, help="requests on the way (default: 8)")
    parser.add_argument("--models", type=Path, default=DEFAULT_ROOT, help="published models")
    parser.add_argument(
        "--pre-drain-s", type=float, default=0.0, help="the setting of the replicas (default: 0)"
    )
    parser.add_argument("--json", type=Path, help="write the report here too")
    chosen = parser.parse_args()
    report = restart_under_load(
        chosen.models,
        seconds=chosen.seconds,
        clients=chosen.clients,
        pre_drain_s=chosen.pre_drain_s,
    )
    text = json.dumps(asdict(report), indent=1)
    if chosen.json:
        chosen.json.write_text(text + "\n", encoding="utf-8")
    Console().print(text)
    return int(report.failed > 0 or any(report.exit_codes))


if __name__ == "__main__":
    sys.exit(main())

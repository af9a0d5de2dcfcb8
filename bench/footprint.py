"""What a server costs before the first request: seconds until ready, and memory when idle.

    python bench/footprint.py                # the repository's own models, five starts
    python bench/footprint.py --workers 2    # with two engine processes and their supervisor

Starts real processes with a HOME of their own, waits for /readyz, asks every model once, lets the
server rest and reads how much memory its processes hold; what they share is counted once. The first
start, which warms the file cache, is not counted.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PORT = 8765


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=5, help="counted starts (default: 5)")
    parser.add_argument(
        "--rest", type=float, default=3.0, help="idle seconds before reading memory"
    )
    parser.add_argument("--models", type=Path, help="model folder (default: the installed one)")
    parser.add_argument("--workers", type=int, default=1, help="engine processes (default: 1)")
    chosen = parser.parse_args()
    starts = range(chosen.starts + 1)
    _, *runs = [_start(chosen.models, chosen.workers, chosen.rest) for _ in starts]
    report = {
        name: {
            "median": round(statistics.median(run[name] for run in runs), 2),
            "least": round(min(run[name] for run in runs), 2),
            "most": round(max(run[name] for run in runs), 2),
        }
        for name in runs[0]
    }
    print(json.dumps(report, indent=2))
    return 0


def _start(models: Path | None, workers: int, rest_s: float) -> dict[str, float]:
    words = [sys.executable, "-m", "service", "serve", "--port", str(PORT)]
    words += ["--workers", str(workers)]
    words += ["--models", str(models)] if models else []
    with tempfile.TemporaryDirectory() as home:
        started = time.monotonic()
        process = subprocess.Popen(
            words,
            env={**os.environ, "HOME": home, "ORT_DISABLE_TELEMETRY": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parents[1],
        )
        try:
            _wait_ready(process)
            ready_s = time.monotonic() - started
            time.sleep(rest_s)
            fresh = _memory_mib(process.pid)
            _ask_each()
            time.sleep(rest_s)
            return {
                "ready_s": ready_s,
                "memory_mib_idle": fresh,
                "memory_mib_after_requests": _memory_mib(process.pid),
            }
        finally:
            process.terminate()
            process.wait(30)


def _wait_ready(process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.01)
    raise SystemExit(f"the server left with exit code {process.returncode} before it was ready")


def _ask_each() -> None:
    text = b'{"text": "A dog runs across the street."}'
    _post("/v1/sentiment", text, "application/json")
    _post("/v1/translate", text, "application/json")
    _post("/v1/classify", _bitmap(), "image/bmp")


def _bitmap() -> bytes:
    """A grey picture of 32 x 32 pixels, 24 bits each, as a BMP file."""
    size = 54 + 32 * 32 * 3
    numbers = ((size, 4), (0, 4), (54, 4), (40, 4), (32, 4), (32, 4), (1, 2), (24, 2))
    head = b"BM" + b"".join(value.to_bytes(width, "little") for value, width in numbers)
    return head.ljust(54, b"\0") + b"\x80" * (32 * 32 * 3)


def _post(path: str, body: bytes, kind: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}", body, {"Content-Type": kind}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _memory_mib(pid: int) -> float:
    """Proportional set size (proc_pid_smaps(5)) of a process and its children."""
    total_kb = 0
    for process in (pid, *_children(pid)):
        found = re.search(r"^Pss:\s+(\d+) kB", _rollup(process), re.MULTILINE)
        if found is None:
            raise SystemExit("the server is gone")
        total_kb += int(found.group(1))
    return total_kb / 1024


def _rollup(pid: int) -> str:
    return Path(f"/proc/{pid}/smaps_rollup").read_text()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


if __name__ == "__main__":
    sys.exit(main())

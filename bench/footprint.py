"""What a server costs before the first request: seconds until ready, and memory when idle.

    python bench/footprint.py                # the repository's own models, five starts

Starts real processes with a HOME of their own, waits for /readyz, asks every model once, lets the
server rest and reads its resident memory. The first start, which warms the file cache, is not
counted.
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
    chosen = parser.parse_args()
    runs = [_start(chosen.models, chosen.rest) for _ in range(chosen.starts + 1)][1:]
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


def _start(models: Path | None, rest_s: float) -> dict[str, float]:
    words = [sys.executable, "-m", "service", "serve", "--port", str(PORT)]
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
            fresh = _resident_mib(process.pid)
            _ask_each()
            time.sleep(rest_s)
            return {
                "ready_s": ready_s,
                "resident_mib_idle": fresh,
                "resident_mib_after_requests": _resident_mib(process.pid),
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


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    if found is None:
        raise SystemExit("the server is gone")
    return int(found.group(1)) / 1024


if __name__ == "__main__":
    sys.exit(main())

"""The service as in a container with limits: its control groups are files in its home.

python -m tests.monitoring.limited serve …
"""

import os
import sys
from pathlib import Path

from service import cgroup
from service.cli import main

PERIODS_A_ROUND = 10


def groups(home: Path) -> tuple[Path, Path]:
    """Where the kernel would tell our groups, and where they would be mounted."""
    return home.parent / "cgroup-of-self", home.parent / "cgroup"


def write_limits(home: Path, rounds: int) -> None:
    """2 CPUs and 2 GiB, and a quota that so far was used up in every fifth period."""
    own, mount = groups(home)
    mount.mkdir(parents=True, exist_ok=True)
    own.write_text("0::/\n")
    periods = rounds * PERIODS_A_ROUND
    files = {
        "memory.max": str(2 << 30),
        "cpu.max": "200000 100000",
        "cpu.stat": f"nr_periods {periods}\nnr_throttled {periods // 5}\n"
        f"throttled_usec {periods * 1000}\n",
    }
    for name, text in files.items():
        fresh = mount / f"{name}.new"
        fresh.write_text(text)
        fresh.replace(mount / name)  # the service may read at any moment


if __name__ == "__main__":
    found = groups(Path(os.environ["HOME"]))
    for read in (cgroup.cpu_limit, cgroup.memory_limit):
        read.__defaults__ = found
    sys.exit(main())

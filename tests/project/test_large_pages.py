"""What the image and `make serve` ask of the C library is there, and is heard."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.tree import ROOT

ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
SCRIPT = """
import ctypes
from pathlib import Path
size = 64 << 20
malloc = ctypes.CDLL(None).malloc
malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
ctypes.memset(malloc(size), 1, size)
(line,) = [l for l in Path("/proc/self/smaps_rollup").read_text().splitlines() if "AnonHuge" in l]
print(line.split()[1])
"""


def asked(file: str) -> str:
    found = re.search(r"GLIBC_TUNABLES ?\??= ?(\S+)", (ROOT / file).read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def glibc() -> tuple[int, ...]:
    name, version = platform.libc_ver()
    return tuple(map(int, version.split("."))) if name == "glibc" else ()


def huge_kib(environment: dict[str, str]) -> int:
    kept = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_the_image_and_make_ask_alike() -> None:
    assert asked("Dockerfile") == asked("Makefile")


@pytest.mark.skipif(glibc() < (2, 35), reason="needs glibc 2.35")
@pytest.mark.skipif(
    not ENABLED.exists() or "[madvise]" not in ENABLED.read_text(),
    reason="this kernel gives large pages to all or to none",
)
def test_memory_comes_in_large_pages_where_that_is_asked() -> None:
    assert huge_kib({}) < 2048
    assert huge_kib({"GLIBC_TUNABLES": asked("Makefile")}) > 16 << 10

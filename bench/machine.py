"""What a result was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.place import ROOT

PACKAGES = ("onnxruntime", "numpy", "uvicorn", "uvloop", "tokenizers", "pillow", "ctranslate2")
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
AVX512 = {"avx512f", "avx512cd", "avx512vl", "avx512bw", "avx512dq"}


def describe() -> dict[str, str]:
    """Processor, system and versions, each on a line."""
    found = {
        "processor": f"{_processor()}, {os.cpu_count()} cores, "
        f"{', '.join(_features()) or 'no vector features known'}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {found}" for name, found in _versions().items()),
        "commit": _commit(),
    }
    return {name: value for name, value in found.items() if value}


def has_avx512() -> bool:
    """Whether the processor has all parts that kernels which are said to use AVX-512 ask for."""
    return set(_from_cpuinfo("flags").split()) >= AVX512


def _processor() -> str:
    return _from_cpuinfo("model name") or platform.processor() or platform.machine()


def _features() -> list[str]:
    flags = _from_cpuinfo("flags").split()
    return [name for name in FEATURES if name in flags]


def _from_cpuinfo(field: str) -> str:
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else ():
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()

"""What the control groups of Linux, version 1 or 2, allow this process.

Every group from ours up to the root binds, so the tightest counts. Where there are no such files,
there is no limit.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC_CGROUP = Path("/proc/self/cgroup")
CGROUP_MOUNT = Path("/sys/fs/cgroup")

NO_LIMIT = 1 << 60  # version 1 writes a number about as large as there is when it means none


@dataclass(frozen=True, slots=True)
class Throttling:
    """How often a quota held its group back: since the group was made."""

    periods: int
    throttled_periods: int
    throttled_s: float


@dataclass(frozen=True, slots=True)
class CpuLimit:
    """So many CPUs, and what that has cost."""

    cpus: float
    throttling: Throttling


def cpu_limit(proc_cgroup: Path = PROC_CGROUP, mount: Path = CGROUP_MOUNT) -> CpuLimit | None:
    """The tightest quota; None without one."""
    quotas = [
        (quota, folder, version)
        for folder, version in _folders("cpu", proc_cgroup, mount)
        if (quota := _quota(folder, version)) is not None
    ]
    if not quotas:
        return None
    cpus, folder, version = min(quotas)
    return CpuLimit(cpus, _throttling(folder, version))


def memory_limit(proc_cgroup: Path = PROC_CGROUP, mount: Path = CGROUP_MOUNT) -> int | None:
    """The tightest limit in bytes; None without one."""
    found = [
        limit
        for folder, version in _folders("memory", proc_cgroup, mount)
        if (limit := _memory(folder, version)) is not None
    ]
    return min(found, default=None)


def available_memory(
    physical: int | None = None, proc_cgroup: Path = PROC_CGROUP, mount: Path = CGROUP_MOUNT
) -> int:
    """Bytes that this process may use: the machine's, or the tightest limit if that is less.

    `physical` is what the machine has; None asks the system.
    """
    if physical is None:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = memory_limit(proc_cgroup, mount)
    return physical if limit is None else min(physical, limit)


def _folders(controller: str, proc_cgroup: Path, mount: Path) -> Iterator[tuple[Path, int]]:
    """The folders of our groups and of all above them, with the version of the hierarchy."""
    for line in _text(proc_cgroup).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from ((folder, 2) for folder in _upwards(mount, path))
        elif controller in controllers.split(","):
            for name in {controllers, controller}:
                yield from ((folder, 1) for folder in _upwards(mount / name, path))


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    # a container often sees its own group as the mount's root, under a path of the host
    own = mount / path.lstrip("/")
    for folder in (own, *own.parents):
        yield folder
        if folder == mount:
            return


def _quota(folder: Path, version: int) -> float | None:
    if version == 2:
        quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    else:
        quota = _text(folder / "cpu.cfs_quota_us").strip()
        period = _text(folder / "cpu.cfs_period_us").strip()
    if not period or quota in ("", "max") or int(quota) <= 0:
        return None
    return int(quota) / int(period)


def _throttling(folder: Path, version: int) -> Throttling:
    lines = [line.split() for line in _text(folder / "cpu.stat").splitlines()]
    counts = {line[0]: int(line[1]) for line in lines if len(line) == 2}
    throttled_s = (
        counts.get("throttled_usec", 0) / 1e6
        if version == 2
        else counts.get("throttled_time", 0) / 1e9
    )
    return Throttling(counts.get("nr_periods", 0), counts.get("nr_throttled", 0), throttled_s)


def _memory(folder: Path, version: int) -> int | None:
    name = "memory.max" if version == 2 else "memory.limit_in_bytes"
    text = _text(folder / name).strip()
    limit = NO_LIMIT if text in ("", "max") else int(text)
    return limit if limit < NO_LIMIT else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # no such controller here, which is no limit
        return ""

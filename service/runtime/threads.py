"""How many CPUs this process may really use: affinity and cgroup quota, whichever is less.

ONNX Runtime sizes its pools by the host's cores and sees no quota; Python sees no quota either.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

PROC_CGROUP = Path("/proc/self/cgroup")
CGROUP_MOUNT = Path("/sys/fs/cgroup")


def available_cpus(
    affinity: int | None = None,
    proc_cgroup: Path = PROC_CGROUP,
    mount: Path = CGROUP_MOUNT,
) -> int:
    """Whole CPUs that the process may keep busy, at least 1.

    `affinity` counts the CPUs that the scheduler allows; None asks the system.
    """
    allowed = affinity if affinity is not None else _allowed_by_scheduler()
    return max(1, int(min([float(allowed), *_quotas(proc_cgroup, mount)])))


def _allowed_by_scheduler() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(proc_cgroup: Path, mount: Path) -> Iterator[float]:
    """CPUs allowed by each cgroup from ours up to the root; every one of them binds."""
    for line in _text(proc_cgroup).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _walk(mount, path, _quota_v2)
        elif "cpu" in controllers.split(","):
            for folder in {controllers, "cpu"}:
                yield from _walk(mount / folder, path, _quota_v1)


def _walk(mount: Path, path: str, read: Callable[[Path], float | None]) -> Iterator[float]:
    # a container often sees its own cgroup as the mount's root, under a path of the host
    own = mount / path.lstrip("/")
    for folder in (own, *own.parents):
        quota = read(folder)
        if quota is not None:
            yield quota
        if folder == mount:
            return


def _quota_v2(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    return None if quota in ("", "max") else int(quota) / int(period)


def _quota_v1(folder: Path) -> float | None:
    quota = _text(folder / "cpu.cfs_quota_us").strip()
    period = _text(folder / "cpu.cfs_period_us").strip()
    return None if not period or int(quota) <= 0 else int(quota) / int(period)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # no such controller here, which is no limit
        return ""

"""How many CPUs this process may really use: affinity and cgroup quota, whichever is less.

ONNX Runtime sizes its pools by the host's cores and sees no quota; Python sees no quota either.
"""

import os
from pathlib import Path

from service.cgroup import CGROUP_MOUNT, PROC_CGROUP, cpu_limit


def available_cpus(
    affinity: int | None = None,
    proc_cgroup: Path = PROC_CGROUP,
    mount: Path = CGROUP_MOUNT,
) -> int:
    """Whole CPUs that the process may keep busy, at least 1.

    `affinity` counts the CPUs that the scheduler allows; None asks the system.
    """
    allowed = affinity if affinity is not None else _allowed_by_scheduler()
    limit = cpu_limit(proc_cgroup, mount)
    return max(1, allowed if limit is None else int(min(allowed, limit.cpus)))


def _allowed_by_scheduler() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""Limits and throttling as both versions of control groups write them, in a temporary folder."""

from pathlib import Path

import pytest

from service.cgroup import CpuLimit, Throttling, available_memory, cpu_limit, memory_limit

STAT_2 = "usage_usec 9\nnr_periods 40\nnr_throttled 10\nthrottled_usec 2500000\n"
STAT_1 = "nr_periods 40\nnr_throttled 10\nthrottled_time 2500000000\n"
HELD_BACK = Throttling(periods=40, throttled_periods=10, throttled_s=2.5)


def tree(folder: Path, lines: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Where the kernel tells our groups, and where these files are."""
    own, mount = folder / "own", folder / "mount"
    own.write_text(lines)
    for name, text in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(text)
    return own, mount


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n", "cpu.stat": STAT_2}),
        ("0::/kubepods/pod\n", {"cpu.max": "150000 100000\n", "cpu.stat": STAT_2}),
        (
            "4:cpu,cpuacct:/x\n",
            {
                "cpu,cpuacct/x/cpu.cfs_quota_us": "150000\n",
                "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/x/cpu.stat": STAT_1,
            },
        ),
    ],
    ids=["version 2", "a path of the host", "version 1"],
)
def test_a_quota_is_told_with_what_it_cost(
    tmp_path: Path, lines: str, files: dict[str, str]
) -> None:
    assert cpu_limit(*tree(tmp_path, lines, files)) == CpuLimit(1.5, HELD_BACK)


def test_the_group_that_binds_tells_how_often_it_held_us_back(tmp_path: Path) -> None:
    files = {
        "a/cpu.max": "100000 100000",
        "a/cpu.stat": STAT_2,
        "a/b/cpu.max": "400000 100000",
        "a/b/cpu.stat": STAT_2.replace("10", "0"),
    }
    assert cpu_limit(*tree(tmp_path, "0::/a/b\n", files)) == CpuLimit(1.0, HELD_BACK)


def test_a_quota_without_counts_has_held_nobody_back(tmp_path: Path) -> None:
    found = cpu_limit(*tree(tmp_path, "0::/\n", {"cpu.max": "100000 100000"}))
    assert found == CpuLimit(1.0, Throttling(0, 0, 0.0))


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        ("0::/\n", {"cpu.max": "max 100000", "memory.max": "max\n", "cpu.stat": STAT_2}),
        (
            "4:cpu:/\n5:memory:/\n",
            {
                "cpu/cpu.cfs_quota_us": "-1",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
        ),
        ("", {}),
    ],
    ids=["version 2", "version 1", "none at all"],
)
def test_no_limit_is_none(tmp_path: Path, lines: str, files: dict[str, str]) -> None:
    own, mount = tree(tmp_path, lines, files)
    assert cpu_limit(own, mount) is None
    assert memory_limit(own, mount) is None


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        ("0::/a/b\n", {"a/memory.max": "2048\n", "a/b/memory.max": "4096\n"}),
        (
            "4:memory:/a\n3:cpu:/\n",
            {
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/a/memory.limit_in_bytes": "2048\n",
            },
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_the_tightest_memory_limit_counts(
    tmp_path: Path, lines: str, files: dict[str, str]
) -> None:
    assert memory_limit(*tree(tmp_path, lines, files)) == 2048


@pytest.mark.parametrize(("physical", "available"), [(4096, 2048), (1024, 1024)])
def test_the_machines_memory_is_a_limit_too(tmp_path: Path, physical: int, available: int) -> None:
    limited = tree(tmp_path, "0::/a\n", {"a/memory.max": "2048\n"})
    assert available_memory(physical, *limited) == available


def test_without_a_limit_the_memory_is_that_of_the_machine(tmp_path: Path) -> None:
    unlimited = tree(tmp_path, "0::/a\n", {"a/memory.max": "max\n"})
    assert available_memory(4096, *unlimited) == 4096
    assert available_memory(None, *unlimited) >= 256 << 20

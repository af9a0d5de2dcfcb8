"""CPUs from affinity and quota, in both versions of cgroups, as files in a temporary folder."""

from pathlib import Path

import pytest

from service.runtime.threads import available_cpus


def cpus(tmp_path: Path, lines: str, files: dict[str, str], affinity: int = 8) -> int:
    tmp_path.mkdir(exist_ok=True)
    own = tmp_path / "own"
    own.write_text(lines)
    mount = tmp_path / "mount"
    for name, text in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(text)
    return available_cpus(affinity, own, mount)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("1600000 100000", 8),
    ],
)
def test_a_version_2_quota_is_rounded_down_but_not_below_one(
    tmp_path: Path, quota: str, expected: int
) -> None:
    assert cpus(tmp_path, "0::/\n", {"cpu.max": quota}) == expected


def test_the_tightest_quota_on_the_way_up_binds(tmp_path: Path) -> None:
    files = {"cpu.max": "max 100000", "a/cpu.max": "300000 100000", "a/b/cpu.max": "700000 100000"}
    assert cpus(tmp_path, "0::/a/b\n", files) == 3


def test_a_path_of_the_host_still_finds_the_quota_at_the_mount(tmp_path: Path) -> None:
    assert cpus(tmp_path, "0::/kubepods/pod1/c2\n", {"cpu.max": "400000 100000"}) == 4


def test_a_version_1_quota_is_read_under_either_name_of_the_controller(tmp_path: Path) -> None:
    lines = "5:memory:/x\n4:cpu,cpuacct:/x\n"
    joint = {
        "cpu,cpuacct/x/cpu.cfs_quota_us": "300000",
        "cpu,cpuacct/x/cpu.cfs_period_us": "100000",
    }
    assert cpus(tmp_path / "joint", lines, joint) == 3
    plain = {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}
    assert cpus(tmp_path / "plain", lines, plain) == 2


def test_a_version_1_quota_of_minus_one_is_none(tmp_path: Path) -> None:
    files = {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}
    assert cpus(tmp_path, "4:cpu:/\n", files) == 8


def test_without_cgroups_affinity_alone_counts(tmp_path: Path) -> None:
    assert available_cpus(3, tmp_path / "none", tmp_path) == 3


def test_this_machine_has_at_least_one() -> None:
    assert available_cpus() >= 1

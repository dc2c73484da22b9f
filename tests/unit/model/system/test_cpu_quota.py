"""The CPU quota of cgroups, from synthetic trees of ``/proc`` and ``/sys``."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.system.cpu_quota import granted_cpus

V1 = "11:memory:/jobs/a\n4:cpu,cpuacct:/jobs/a\n2:cpuset:/jobs/b\n"
V2 = "0::/system.slice/unroll.service\n"
HYBRID = "3:cpu:/jobs/a\n0::/system.slice/unroll.service\n"


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has an affinity of eight CPUs."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)


def tree(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    """A system with the given /proc/self/cgroup and files in /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return root


def version_1(directory: str, quota: int, period: int = 100_000) -> dict[str, str]:
    """The two files of a v1 cgroup."""
    return {
        f"{directory}/cpu.cfs_quota_us": str(quota),
        f"{directory}/cpu.cfs_period_us": str(period),
    }


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        pytest.param("0::/\n", {"cpu.max": "100000 100000"}, 1, id="v2 at the root"),
        pytest.param("0::/\n", {"cpu.max": "50000 100000"}, 1, id="v2 less than one"),
        pytest.param("0::/\n", {"cpu.max": "250000 100000"}, 3, id="v2 two and a half"),
        pytest.param("0::/\n", {"cpu.max": "max 100000"}, 8, id="v2 without a bound"),
        pytest.param("0::/\n", {"cpu.max": "9900000 100000"}, 8, id="v2 above the affinity"),
        pytest.param("0::/\n", {"cpu.max": "nonsense"}, 8, id="v2 unreadable"),
        pytest.param("0::/\n", {"cpu.max": "100000 0"}, 8, id="v2 with a period of zero"),
        pytest.param(
            V2, {"system.slice/unroll.service/cpu.max": "200000 100000"}, 2, id="v2 nested"
        ),
        pytest.param(
            V2,
            {
                "system.slice/cpu.max": "100000 100000",
                "system.slice/unroll.service/cpu.max": "400000 100000",
            },
            1,
            id="v2 tighter ancestor",
        ),
        pytest.param(V2, {"system.slice/other.service/cpu.max": "100000 100000"}, 8, id="v2 other"),
        pytest.param("4:cpu:/\n", version_1("cpu", 100_000), 1, id="v1 cpu"),
        pytest.param(
            "4:cpu,cpuacct:/\n", version_1("cpu,cpuacct", 150_000), 2, id="v1 cpu,cpuacct"
        ),
        pytest.param(
            "4:cpuacct,cpu:/\n", version_1("cpuacct,cpu", 150_000), 2, id="v1 cpuacct,cpu"
        ),
        pytest.param("4:cpu:/\n", version_1("cpu", -1), 8, id="v1 without a bound"),
        pytest.param("4:cpu:/\n", version_1("cpu", 25_000, 50_000), 1, id="v1 another period"),
        pytest.param(V1, version_1("cpu,cpuacct/jobs/a", 200_000), 2, id="v1 nested"),
        pytest.param(
            V1,
            version_1("cpu,cpuacct/jobs", 100_000) | version_1("cpu,cpuacct/jobs/a", 300_000),
            1,
            id="v1 tighter ancestor",
        ),
        pytest.param(V1, version_1("cpu,cpuacct/jobs/b", 100_000), 8, id="v1 other controller"),
        pytest.param(
            "4:cpu:/docker/0123\n", version_1("cpu", 100_000), 1, id="v1 path of the host"
        ),
        pytest.param("4:cpu:/../outside\n", version_1("cpu", 100_000), 1, id="v1 outside"),
        pytest.param("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "100000"}, 8, id="v1 without a period"),
        pytest.param(HYBRID, version_1("cpu/jobs/a", 200_000), 2, id="hybrid, quota of v1"),
        pytest.param(
            HYBRID,
            {"unified/system.slice/cpu.max": "300000 100000"},
            3,
            id="hybrid, quota of v2",
        ),
        pytest.param(
            HYBRID,
            {"unified/system.slice/cpu.max": "300000 100000"} | version_1("cpu/jobs", 200_000),
            2,
            id="hybrid, both",
        ),
        pytest.param("", {"cpu.max": "100000 100000"}, 1, id="no line for this process"),
        pytest.param("nonsense\n\n::\n", {}, 8, id="unreadable table"),
    ],
)
def test_quota(tmp_path: Path, cgroup: str, files: dict[str, str], expected: int) -> None:
    """The smallest quota on the path from the process's cgroup to the root bounds the affinity."""
    assert granted_cpus(tree(tmp_path, cgroup, files)) == expected


def test_without_cgroups(tmp_path: Path) -> None:
    """Without cgroups the affinity counts."""
    assert granted_cpus(tmp_path) == 8

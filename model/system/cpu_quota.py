"""The number of CPUs available to this process, by its CPU affinity and its cgroups' quotas.

cgroup v1, v2 and hybrid hierarchies are read. The ancestors of a cgroup bound it too, so the
smallest quota on the path to the root counts.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def granted_cpus(system: Path = Path("/")) -> int:
    """CPUs available to this process, rounded up, at least 1.

    Args:
        system: directory that contains ``proc`` and ``sys``.
    """
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    quotas = map(_quota, _cgroup_directories(system))
    return max(1, math.ceil(min([available, *quotas])))


def _cgroup_directories(system: Path) -> Iterator[Path]:
    """The directories of this process's cgroups and of their ancestors, in every hierarchy.

    A container may see its cgroup's path on the host but only its own part of the tree, so the
    directories may not exist.
    """
    mounted = system / "sys" / "fs" / "cgroup"
    version_1 = [path for path in _listed(mounted) if "cpu" in path.name.split(",")]
    unified, cpu = _cgroup_paths(system / "proc" / "self" / "cgroup")
    hierarchies = [(mounted, unified), (mounted / "unified", unified)]
    for hierarchy, path in [*hierarchies, *((mount, cpu) for mount in version_1)]:
        yield from (hierarchy / part for part in (path, *path.parents))


def _cgroup_paths(table: Path) -> tuple[PurePosixPath, PurePosixPath]:
    """This process's cgroup in the v2 hierarchy and in the v1 hierarchy of the cpu controller.

    The lines are ``NUMBER:CONTROLLERS:PATH``; v2 has no controllers there.
    """
    unified = cpu = PurePosixPath()
    for line in _text(table).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        relative_path = PurePosixPath(path.lstrip("/"))
        if ".." in relative_path.parts:  # outside this cgroup namespace
            continue
        if controllers == "":
            unified = relative_path
        elif "cpu" in controllers.split(","):
            cpu = relative_path
    return unified, cpu


def _quota(cgroup: Path) -> float:
    """CPUs that one cgroup grants; infinite if it has no quota."""
    fields = _text(cgroup / "cpu.max").split() or [
        *_text(cgroup / "cpu.cfs_quota_us").split(),
        *_text(cgroup / "cpu.cfs_period_us").split(),
    ]
    try:
        quota, period = map(int, fields)  # "max" is no number
    except ValueError:
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf


def _listed(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

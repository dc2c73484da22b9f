"""How many threads to compute with: what is asked for, or as many as there are processors."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def set_threads(asked: int | None) -> None:
    """Makes torch compute with ``asked`` threads.

    None: as OMP_NUM_THREADS says, or else with one for each processor there is.
    """
    if asked is not None:
        torch.set_num_threads(asked)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(available_processors())


def available_processors() -> int:
    """Whole processors of this process: its affinity, cut by the cgroup's quota; at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min(count or 1, _quota())))


def _quota() -> float:
    """Processors' worth of time that the cgroup grants; infinite where it sets no bound."""
    try:
        granted, period = QUOTA.read_text(encoding="ascii").split()
        return math.inf if granted == "max" else int(granted) / int(period)
    except (OSError, ValueError):
        return math.inf

"""What the numbers of a run hold for. Knows nothing of how they were made."""

import os
import platform
from pathlib import Path

import torch

from model.system.cpu_quota import granted_cpus


def machine() -> dict[str, str | int | float]:
    """Processor, cores, versions, and how busy the machine is at this moment."""
    return {
        "processor": processor_name(),
        "cores": granted_cpus(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def sentence() -> str:
    """The same, as it stands under a table."""
    where = machine()
    return (
        f"{where['processor']}, {where['cores']} cores, torch {where['torch']}, "
        f"load average {where['load']} when this was written."
    )


def processor_name() -> str:
    """The processor's own name for itself, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n")
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"

"""A description of the machine on which the benchmarks run."""

import os
import platform
from pathlib import Path

import torch

from model.system.cpu_quota import granted_cpus


def describe_machine() -> dict[str, str | int | float]:
    """Processor, available cores, current load average and versions."""
    return {
        "processor": processor_name(),
        "cores": granted_cpus(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def machine_sentence() -> str:
    """The note under a table."""
    machine = describe_machine()
    return (
        f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}, "
        f"load average {machine['load']} when the report was written."
    )


def processor_name() -> str:
    """The model name of the processor, or "unknown"."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n")
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"

"""A program for torchrun: trains a step in a process group, leaves it, and prints what is left.

With the argument ``fail`` an error ends the step while the traceback still holds the run.
"""

import os
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from training.runtime.distributed import launched_process_group


def gloo_threads() -> list[str]:
    """The names of this process's threads that communicate with other processes."""
    names = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


def train_one_step(*, failing: bool) -> None:
    """One step of a network that several processes share."""
    wrapped = DistributedDataParallel(nn.Linear(2, 2))
    wrapped(torch.ones(1, 2)).sum().backward()
    assert gloo_threads()
    if failing:
        raise ValueError("the step has failed")


if __name__ == "__main__":
    try:
        with launched_process_group():
            train_one_step(failing="fail" in sys.argv)
    except ValueError as error:
        ending = str(error)
    else:
        ending = "done"
    sys.stdout.write(f"rank {os.environ['RANK']}: {ending}; left: {gloo_threads()}\n")

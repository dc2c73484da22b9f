"""What torchrun starts in a test: trains a step in a team, leaves it, and tells what is left of it.

With the argument ``fail`` an error ends the step, with the run still in its hands.
"""

import os
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from training.runtime.distributed import launched_team


def threads() -> list[str]:
    """The names of this process's threads that serve the processes' talk."""
    names = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


def work(failing: bool) -> None:
    """One step of a network that several processes share."""
    wrapped = DistributedDataParallel(nn.Linear(2, 2))
    wrapped(torch.ones(1, 2)).sum().backward()
    assert threads()
    if failing:
        raise ValueError("the step has failed")


if __name__ == "__main__":
    try:
        with launched_team():
            work("fail" in sys.argv)
    except ValueError as error:
        ending = str(error)
    else:
        ending = "done"
    sys.stdout.write(f"rank {os.environ['RANK']}: {ending}; left: {threads()}\n")

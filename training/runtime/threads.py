"""The number of threads that torch computes with."""

from __future__ import annotations

import os

import torch

from model.system.cpu_quota import granted_cpus
from training.config.options import check_threads


def set_threads(threads: int | None) -> None:
    """Makes torch compute with ``threads`` threads.

    None means OMP_NUM_THREADS, or one thread per processor where that is not set.

    Raises:
        RecipeError: there are too many.
    """
    check_threads(threads)
    if threads is not None:
        torch.set_num_threads(threads)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(granted_cpus())

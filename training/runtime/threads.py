"""How many threads to compute with: what is asked for, or as many as there are processors."""

from __future__ import annotations

import os

import torch

from model.system.cpu_quota import granted_cpus
from training.config.options import check_threads


def set_threads(asked: int | None) -> None:
    """Makes torch compute with ``asked`` threads.

    None: as OMP_NUM_THREADS says, or else with one for each processor there is.

    Raises:
        RecipeError: there are too many.
    """
    check_threads(asked)
    if asked is not None:
        torch.set_num_threads(asked)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(granted_cpus())

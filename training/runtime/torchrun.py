"""How the command was started: alone, or by ``torchrun`` as one of several processes.

Reads the environment that torchrun sets; loads no torch, so that every command can ask.
"""

from __future__ import annotations

import os


def process_count() -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if _by_torchrun() else 1


def process_rank() -> int:
    """Which of them this is; the first, 0, leads."""
    return int(os.environ.get("RANK", "0")) if _by_torchrun() else 0


def quieten_torch() -> None:
    """Before torch is loaded: no warnings of its processes that have nothing for a person.

    It warns that all parameters took part in the first step; in later ones not all do.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ

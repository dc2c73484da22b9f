"""The number of processes that torchrun has started, and the rank of this one.

Reads the environment variables of torchrun. Imports no torch, so that every command can ask.
"""

from __future__ import annotations

import os


def process_count() -> int:
    """The number of processes that torchrun has started; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1")) if _by_torchrun() else 1


def process_rank() -> int:
    """The rank of this process; 0 is the main process."""
    return int(os.environ.get("RANK", "0")) if _by_torchrun() else 0


def quieten_torch() -> None:
    """Turns off the warnings of torch's process groups. Call it before torch is imported.

    One of them reports that the first step used all parameters; later steps do not.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ

"""Which number format training computes in: bfloat16 where the processor has products in it.

The choice depends on the processor and the build of torch alone, so that a run repeats: no speed is
measured. Some builds crash on bfloat16 LSTMs, which a child process finds out with one step. Who
asks for bfloat16 by name is refused where torch cannot run it. Weights, their gradients' sums and
the loss stay in float32 either way.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

import torch

from training.errors import RecipeError

Precision = Literal["float32", "bfloat16"]
PROBE_SECONDS = 600.0  # a child that has not ended by then hangs

PROBE = """
import torch
from torch import nn
torch.set_num_threads(1)
lstm, linear = nn.LSTM(64, 64, 2), nn.Linear(64, 100)
with torch.autocast("cpu", dtype=torch.bfloat16):
    loss = linear(lstm(torch.randn(8, 8, 64))[0]).float().square().mean()
loss.backward()
assert torch.isfinite(loss)
"""


def choose_precision() -> Precision:
    """bfloat16 if the processor has instructions for its products and torch does not crash."""
    if _runs_bfloat16() and _has_bfloat16_products() and _survives_bfloat16():
        return "bfloat16"
    return "float32"


def require_precision(asked: str | None) -> None:
    """Refuses what would break in the first step.

    Raises:
        RecipeError: bfloat16 was asked for, in which torch cannot run recurrent layers here.
    """
    if asked == "bfloat16" and not _runs_bfloat16():
        raise RecipeError(
            "--precision bfloat16: this processor has no instructions for it; give auto, which "
            "takes what the processor has, or float32 (a run that was begun in bfloat16 goes on "
            "only where there are some)"
        )


def settled(asked: str | None) -> Precision:
    """The format of a recipe in which "auto" has been replaced by what was chosen."""
    return "bfloat16" if asked == "bfloat16" else "float32"


def autocast(precision: Precision) -> torch.autocast:
    """The context in which the network's forward pass is to run."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16")


def _runs_bfloat16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _has_bfloat16_products() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


def _survives_bfloat16() -> bool:
    """Whether a child process can train one step in it."""
    command = [sys.executable, "-c", PROBE]
    try:
        child = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, check=False)
    except (subprocess.SubprocessError, OSError):
        return False
    return child.returncode == 0

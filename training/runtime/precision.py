"""The number format of training: bfloat16 where the processor multiplies in it, else float32.

The choice depends on the processor and the build of torch alone, not on a measured speed, so that a
run repeats. Some builds of torch crash on bfloat16 LSTMs; a child process tests that with one step.
Weights, accumulated gradients and the loss are float32 in both formats.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

import torch

from training.errors import RecipeError

Precision = Literal["float32", "bfloat16"]
PROBE_SECONDS = 600.0  # after that the child process hangs

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


def require_precision(precision: str | None) -> None:
    """Checks that torch can train in a format on this processor.

    Raises:
        RecipeError: ``precision`` is "bfloat16", in which torch runs no recurrent layers here.
    """
    if precision == "bfloat16" and not _runs_bfloat16():
        raise RecipeError(
            "--precision bfloat16: this processor has no instructions for it; give auto, which "
            "takes what the processor has, or float32 (a run that was begun in bfloat16 goes on "
            "only where there are some)"
        )


def as_precision(option: str | None) -> Precision:
    """The format of the recipe option ``precision`` after "auto" has been replaced."""
    return "bfloat16" if option == "bfloat16" else "float32"


def autocast(precision: Precision) -> torch.autocast:
    """The context for a forward pass of the network."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16")


def _runs_bfloat16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _has_bfloat16_products() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


def _survives_bfloat16() -> bool:
    """Whether a child process can train one step in bfloat16."""
    command = [sys.executable, "-c", PROBE]
    try:
        child = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, check=False)
    except (subprocess.SubprocessError, OSError):
        return False
    return child.returncode == 0

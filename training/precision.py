"""Which number format training computes in: bfloat16 where the processor is faster in it.

Some builds crash on bfloat16 LSTMs, so the question is put to a child process, which trains a small
one for a moment in both formats and says how long each took. Who asks for bfloat16 by name is not
questioned where the processor has it, and refused where torch cannot run it. Weights, their
gradients' sums and the loss stay in float32 either way.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

import torch

from training.recipe import RecipeError

Precision = Literal["float32", "bfloat16"]
PROBE_SECONDS = 60.0
WORTH_IT = 1.1  # bfloat16 must be at least so many times as fast

PROBE = """
import time, torch
from torch import nn
torch.set_num_threads(1)
lstm, linear = nn.LSTM(256, 256, 2), nn.Linear(256, 4000)
values = torch.randn(32, 32, 256)
def seconds(enabled):
    best = float("inf")
    for _ in range(4):
        began = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            loss = linear(lstm(values)[0]).float().square().mean()
        loss.backward()
        assert torch.isfinite(loss)
        best = min(best, time.perf_counter() - began)
    return best
print(seconds(False) / seconds(True))
"""


def choose_precision() -> Precision:
    """bfloat16 if the processor has instructions for it, does not crash and is faster with it."""
    if not _runs_bfloat16() or not _has_bfloat16_products():
        return "float32"
    return "bfloat16" if _speed_up() >= WORTH_IT else "float32"


def require_precision(asked: str | None) -> None:
    """Refuses what would break in the first step.

    Raises:
        RecipeError: bfloat16 was asked for, in which torch cannot run recurrent layers here.
    """
    if asked == "bfloat16" and not _runs_bfloat16():
        raise RecipeError(
            "--precision bfloat16: this processor has no instructions for it; give auto, which "
            "takes what is faster, or float32 (a run that was begun in bfloat16 goes on only where "
            "there are some)"
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


def _speed_up() -> float:
    """How many times as fast bfloat16 is; 0 if the child crashes, hangs or says nothing usable."""
    try:
        child = subprocess.run(
            [sys.executable, "-c", PROBE],
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=True,
        )
        return float(child.stdout)
    except (subprocess.SubprocessError, OSError, ValueError):
        return 0.0

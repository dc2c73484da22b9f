"""Gradients brought within bounds before a step, and the end of a run that has none any more.

Clipping by value, then by norm (the lecture; Pascanu et al., 2013). Knows no optimiser.
"""

from __future__ import annotations

import math

import torch
from torch import nn


class DivergedError(Exception):
    """The loss is no longer a number. The message says what to do."""


def diverged(where: str) -> DivergedError:
    """The error of a run; ``where`` it was noticed, and by which numbers."""
    return DivergedError(
        f"the loss is no longer a number ({where}); begin anew with a lower --learning-rate or a "
        "lower --clip-norm. The last checkpoint and the best model so far are kept"
    )


def clip(network: nn.Module, loss: float, step: int, *, by_value: float, by_norm: float) -> float:
    """Clips the gradients of a step, 0 meaning not at all.

    Returns:
        Their norm, after clipping by value and before clipping by norm.

    Raises:
        DivergedError: the loss or the norm is not a finite number.
    """
    parameters = [p for p in network.parameters() if p.grad is not None]
    if by_value > 0:
        torch.nn.utils.clip_grad_value_(parameters, by_value)
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, by_norm or math.inf))
    if not math.isfinite(loss) or not math.isfinite(norm):
        raise diverged(f"step {step}, loss {loss}, gradient norm {norm}")
    return norm

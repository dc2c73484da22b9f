"""A short training in the open: a few hundred steps, and loss and gradient norm of each.

For networks that are looked at, not kept: no evaluation, no checkpoint, no regularization. What
trains models to keep is in `language_model_run`. Knows neither files nor the command line.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.analysis.excerpts import Excerpts, ExcerptSource
from training.analysis.networks import InspectedNetwork, hidden_states

OnStep = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortTrainingSettings:
    """How it is trained; 0 for no clipping. "sgd" is plain descent without momentum."""

    steps: int
    batch: int
    learning_rate: float
    optimizer: Literal["adam", "sgd"] = "adam"
    clip_norm: float = 0.0
    clip_value: float = 0.0
    seed: int


@dataclass(frozen=True, slots=True)
class TrainingCurve:
    """Loss and norm of the gradient, before it is clipped, step by step.

    Shorter than asked for when a number was no longer finite.
    """

    losses: list[float]
    norms: list[float]


def train_short(
    network: InspectedNetwork,
    source: ExcerptSource,
    settings: ShortTrainingSettings,
    on_step: OnStep,
) -> TrainingCurve:
    """Moves the weights; ``on_step`` is told the loss after each step."""
    generator = np.random.default_rng([settings.seed, 1])
    kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    optimizer = kinds[settings.optimizer](network.parameters(), lr=settings.learning_rate)
    course = TrainingCurve([], [])
    for _ in range(settings.steps):
        loss = mean_loss(network, source.draw(settings.batch, generator))
        optimizer.zero_grad()
        loss.backward()
        value, norm = float(loss.detach()), _clip(network, settings)
        if not (math.isfinite(value) and math.isfinite(norm)):
            break
        course.losses.append(value)
        course.norms.append(norm)
        optimizer.step()
        on_step(value)
    return course


def mean_loss(network: InspectedNetwork, excerpts: Excerpts) -> Tensor:
    """Nats for each token of the excerpts."""
    logits_TBV = network.logits(hidden_states(network, excerpts.inputs_TB))
    return functional.cross_entropy(logits_TBV.flatten(0, 1), excerpts.targets_TB.flatten())


def _clip(network: InspectedNetwork, settings: ShortTrainingSettings) -> float:
    """The norm of the gradient as it was."""
    parameters = [parameter for parameter in network.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm or math.inf)
    if settings.clip_value > 0:
        torch.nn.utils.clip_grad_value_(parameters, settings.clip_value)
    return float(norm)

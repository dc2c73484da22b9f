"""A short training run that records loss and gradient norm at every step.

It has no evaluation, checkpoints or regularization. Models for use are trained by
``training.trainers``.
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
    """Settings of a run. "sgd" has no momentum; 0 turns a kind of clipping off."""

    steps: int
    batch: int
    learning_rate: float
    optimizer: Literal["adam", "sgd"] = "adam"
    clip_norm: float = 0.0
    clip_value: float = 0.0
    seed: int


@dataclass(frozen=True, slots=True)
class TrainingCurve:
    """Loss in nats and gradient norm before clipping, by step.

    The lists are shorter than the run's steps if a value was not finite.
    """

    losses: list[float]
    norms: list[float]


def train_short(
    network: InspectedNetwork,
    source: ExcerptSource,
    settings: ShortTrainingSettings,
    on_step: OnStep,
) -> TrainingCurve:
    """Trains a network in place; ``on_step`` is called with the loss after each step."""
    generator = np.random.default_rng([settings.seed, 1])
    optimizers = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    optimizer = optimizers[settings.optimizer](network.parameters(), lr=settings.learning_rate)
    curve = TrainingCurve([], [])
    for _ in range(settings.steps):
        loss = mean_loss(network, source.draw(settings.batch, generator))
        optimizer.zero_grad()
        loss.backward()
        value, norm = float(loss.detach()), _clip(network, settings)
        if not (math.isfinite(value) and math.isfinite(norm)):
            break
        curve.losses.append(value)
        curve.norms.append(norm)
        optimizer.step()
        on_step(value)
    return curve


def mean_loss(network: InspectedNetwork, excerpts: Excerpts) -> Tensor:
    """Mean cross-entropy in nats per token."""
    logits_TBV = network.logits(hidden_states(network, excerpts.inputs_TB))
    return functional.cross_entropy(logits_TBV.flatten(0, 1), excerpts.targets_TB.flatten())


def _clip(network: InspectedNetwork, settings: ShortTrainingSettings) -> float:
    """Clips the gradients and returns their norm before clipping."""
    parameters = [parameter for parameter in network.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm or math.inf)
    if settings.clip_value > 0:
        torch.nn.utils.clip_grad_value_(parameters, settings.clip_value)
    return float(norm)

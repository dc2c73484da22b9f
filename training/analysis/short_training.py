"""A short training run that records loss, gradient norms and clipping at every step.

It has no evaluation, checkpoints or regularization. Models for use are trained by
``training.trainers``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
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


# The parameters of a network by their part in the lecture's formulas, by the beginning of the name.
PARAMETER_GROUPS = {
    "word vectors": ("embedding.",),
    "W_x": ("recurrent.weight_ih", "feature.weight"),
    "W_h": ("recurrent.weight_hh", "weight_HH"),
    "b": ("recurrent.bias", "feature.bias"),
    "h_0": ("initial_",),
    "output layer": ("output.", "projection."),
}


@dataclass(frozen=True, slots=True)
class TrainingCurve:
    """Losses and gradients by step.

    The lists are shorter than the run's steps if a value was not finite.

    Attributes:
        losses: in nats.
        norms: of the gradient before clipping.
        clipped: of the gradient after clipping.
        cosines: of the angle between the gradients before and after clipping: 1 if the direction is
            the same.
        groups: norms before clipping by group of parameters; see ``PARAMETER_GROUPS``.
    """

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    clipped: list[float] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)
    groups: dict[str, list[float]] = field(default_factory=dict)


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
    curve, groups = TrainingCurve(), _parameter_groups(network)
    for _ in range(settings.steps):
        loss = mean_loss(network, source.draw(settings.batch, generator))
        optimizer.zero_grad()
        loss.backward()
        value, group_norms = float(loss.detach()), {n: _norm(p) for n, p in groups.items()}
        norm, clipped, cosine = _clip(network, settings)
        if not (math.isfinite(value) and math.isfinite(norm)):
            break
        curve.losses.append(value)
        curve.norms.append(norm)
        curve.clipped.append(clipped)
        curve.cosines.append(cosine)
        for name, group_norm in group_norms.items():
            curve.groups.setdefault(name, []).append(group_norm)
        optimizer.step()
        on_step(value)
    return curve


def mean_loss(network: InspectedNetwork, excerpts: Excerpts) -> Tensor:
    """Mean cross-entropy in nats per token."""
    logits_TBV = network.logits(hidden_states(network, excerpts.inputs_TB))
    return functional.cross_entropy(logits_TBV.flatten(0, 1), excerpts.targets_TB.flatten())


def _parameter_groups(network: InspectedNetwork) -> dict[str, list[nn.Parameter]]:
    """The parameters by the names of ``PARAMETER_GROUPS``, without empty groups."""
    groups = {
        group: [p for name, p in network.named_parameters() if name.startswith(beginnings)]
        for group, beginnings in PARAMETER_GROUPS.items()
    }
    return {group: parameters for group, parameters in groups.items() if parameters}


def _norm(parameters: Iterable[nn.Parameter]) -> float:
    return float(_flat_gradient(parameters).norm())


def _flat_gradient(parameters: Iterable[nn.Parameter]) -> Tensor:
    """All entries of the gradient as one vector, in float64: squares of float32 may overflow."""
    gradients = [parameter.grad.flatten() for parameter in parameters if parameter.grad is not None]
    return torch.cat(gradients).double()


def _clip(network: InspectedNetwork, settings: ShortTrainingSettings) -> tuple[float, float, float]:
    """Clips the gradients.

    Returns:
        Their norm before and after clipping, and the cosine of the angle between both.
    """
    parameters = list(network.parameters())
    before_N = _flat_gradient(parameters)
    norm = float(before_N.norm())
    if settings.clip_norm == settings.clip_value == 0:
        return norm, norm, 1.0
    if settings.clip_norm > 0:
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
    if settings.clip_value > 0:
        torch.nn.utils.clip_grad_value_(parameters, settings.clip_value)
    after_N = _flat_gradient(parameters)
    clipped = float(after_N.norm())
    cosine = float(before_N @ after_N) / (norm * clipped) if norm * clipped > 0 else 1.0
    return norm, clipped, min(1.0, cosine)

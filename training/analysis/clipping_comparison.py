"""Training with exploding gradients, with three ways of clipping.

An Elman network with recurrent weights that are too large is trained by plain gradient descent
without clipping, with clipping by norm, and with clipping by value (Pascanu et al., 2013).
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch

from model.networks import LanguageModel
from training.analysis.excerpts import ExcerptSource
from training.analysis.gradient_flow import spectral_radius
from training.analysis.short_training import (
    OnStep,
    ShortTrainingSettings,
    TrainingCurve,
    train_short,
)


def scale_to_radius(network: LanguageModel, radius: float) -> None:
    """Scales the hidden-to-hidden weights of the first layer to a spectral radius, in place."""
    weight_HH = network.recurrent.weight_hh_l0
    assert isinstance(weight_HH, torch.Tensor)
    with torch.no_grad():
        weight_HH.mul_(radius / spectral_radius(weight_HH))


def compare_clipping(
    network: LanguageModel,
    source: ExcerptSource,
    settings: ShortTrainingSettings,
    on_step: OnStep,
) -> dict[str, TrainingCurve]:
    """Trains three copies of ``network`` on the same text.

    Args:
        network: is not changed.
        source: the training text.
        settings: with both a ``clip_norm`` and a ``clip_value``.
        on_step: called with the loss after each step.

    Returns:
        The curves of "none", "norm" and "value".
    """
    variants = {
        "none": replace(settings, clip_norm=0.0, clip_value=0.0),
        "norm": replace(settings, clip_value=0.0),
        "value": replace(settings, clip_norm=0.0),
    }
    return {
        name: train_short(copy.deepcopy(network), source, variant, on_step)
        for name, variant in variants.items()
    }

"""What clipping is for: an Elman network whose recurrent weights are too large, trained three ways.

Same weights, same text, plain descent; the gradient is left alone, scaled down to a norm, or cut
off number by number. Knows neither files nor plots.
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
    """Makes that the spectral radius of the first layer's hidden-to-hidden weights."""
    weight_HH = network.recurrent.weight_hh_l0
    assert isinstance(weight_HH, torch.Tensor)
    with torch.no_grad():
        weight_HH.mul_(radius / spectral_radius(weight_HH))


def clipping_courses(
    network: LanguageModel,
    source: ExcerptSource,
    settings: ShortTrainingSettings,
    on_step: OnStep,
) -> dict[str, TrainingCurve]:
    """The course of "none", "norm" and "value", each from the weights that ``network`` has."""
    ways = {
        "none": replace(settings, clip_norm=0.0, clip_value=0.0),
        "norm": replace(settings, clip_value=0.0),
        "value": replace(settings, clip_norm=0.0),
    }
    return {
        way: train_short(copy.deepcopy(network), source, chosen, on_step)
        for way, chosen in ways.items()
    }

"""The lecture's derivation with a one-dimensional state, on one excerpt.

The loss gradient at h_(t-1) is that at h_t times dh_t / dh_(t-1) = tanh'(a_t) W_h, where a_t is the
argument of tanh and tanh'(a_t) = 1 - h_t^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer
from training.analysis.excerpts import Excerpts
from training.analysis.networks import steps_by_layer

MAX_STEPS = 20  # of the table


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFactor:
    """One time step t of an Elman network with one unit.

    ``hidden`` is h_t, ``slope`` tanh'(a_t), ``weight`` W_h, ``factor`` their product
    dh_t / dh_(t-1), and ``product`` dh_T / dh_(t-1) for the last step T.
    """

    token: str
    hidden: float
    slope: float
    weight: float
    factor: float
    product: float


def has_step_factors(network: object) -> bool:
    """Whether the network is an Elman network with one layer of one unit."""
    if not isinstance(network, LanguageModel):
        return False
    architecture = network.architecture
    return (architecture.cell, architecture.layers, architecture.hidden) == ("elman", 1, 1)


@torch.no_grad()
def step_factors(
    network: LanguageModel, excerpts: Excerpts, tokenizer: Tokenizer
) -> list[StepFactor]:
    """The factors of the last steps of the first excerpt, in the order of the text.

    Args:
        network: of one unit; see :func:`has_step_factors`.
        excerpts: at least one.
        tokenizer: of the network.
    """
    tokens_T1 = excerpts.inputs_TB[:, :1]
    (steps,) = steps_by_layer(network, tokens_T1)
    weight_HH = network.recurrent.weight_hh_l0
    assert isinstance(weight_HH, torch.Tensor)
    weight, product, factors = float(weight_HH), 1.0, list[StepFactor]()
    tokens = [tokenizer.text_of(token) for token in tokens_T1[:, 0].tolist()]
    for token, step in list(zip(tokens, steps, strict=True))[: -MAX_STEPS - 1 : -1]:
        hidden = float(step.hidden_BH)
        slope = 1 - hidden**2
        product *= slope * weight
        factors.append(
            StepFactor(
                token=token,
                hidden=hidden,
                slope=slope,
                weight=weight,
                factor=slope * weight,
                product=product,
            )
        )
    return factors[::-1]

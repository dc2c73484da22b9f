"""Gate saturation: the share of steps at which a unit's gate is shut or open.

After Karpathy et al., "Visualizing and Understanding Recurrent Networks" (2015). A unit with a
forget gate that is almost always open keeps its value; one with a shut forget gate loses it at
once. Shapes: T time steps, B rows, L layers, G gates, H hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from model.inspection import GATE_NAMES
from model.networks import LanguageModel
from training.analysis.excerpts import Excerpts
from training.analysis.networks import steps_by_layer

SHUT_BELOW = 0.1
OPEN_ABOVE = 0.9
SATURATION_ROWS = 32  # in a batch


@dataclass(frozen=True, slots=True)
class GateSaturation:
    """Share of steps, by unit, with the gate below ``SHUT_BELOW`` and above ``OPEN_ABOVE``."""

    shut: list[float]
    open: list[float]


@torch.no_grad()
def gate_saturation(network: LanguageModel, excerpts: Excerpts) -> list[dict[str, GateSaturation]]:
    """For every layer, lowest first, the saturation of each gate by name."""
    architecture = network.architecture
    gates = GATE_NAMES[architecture.cell]
    shut_LGH = torch.zeros(architecture.layers, len(gates), architecture.hidden)
    open_LGH = torch.zeros_like(shut_LGH)
    for batch in excerpts.split(SATURATION_ROWS):
        share = batch.inputs_TB.shape[1] / excerpts.inputs_TB.shape[1]
        for layer, steps in enumerate(steps_by_layer(network, batch.inputs_TB)):
            for index, name in enumerate(gates):
                gate_TBH = torch.stack([step.gates[name] for step in steps])
                shut_LGH[layer, index] += share * (gate_TBH < SHUT_BELOW).float().mean(dim=(0, 1))
                open_LGH[layer, index] += share * (gate_TBH > OPEN_ABOVE).float().mean(dim=(0, 1))
    return [
        {
            name: GateSaturation(shut_LGH[layer, index].tolist(), open_LGH[layer, index].tolist())
            for index, name in enumerate(gates)
        }
        for layer in range(architecture.layers)
    ]

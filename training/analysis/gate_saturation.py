"""How often each unit's gates are shut or wide open, as Karpathy et al. (2015) looked at them.

A forget gate that is open at nearly every step makes its unit remember; one that is shut makes it
forget at once. Shape suffixes: T time, B rows, H hidden. Knows no training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from model.inspection import GATES
from model.networks import LanguageModel
from training.analysis.excerpts import Excerpts
from training.analysis.networks import steps_by_layer

SHUT = 0.1
OPEN = 0.9
ROWS = 32  # read at a time


@dataclass(frozen=True, slots=True)
class Saturation:
    """For each unit the share of steps with its gate under SHUT, and over OPEN."""

    shut: list[float]
    open: list[float]


@torch.no_grad()
def gate_saturation(network: LanguageModel, excerpts: Excerpts) -> list[dict[str, Saturation]]:
    """For every layer, lowest first, that of each gate by name."""
    a = network.architecture
    shut_LGH = torch.zeros(a.layers, len(GATES[a.cell]), a.hidden)
    open_LGH = torch.zeros_like(shut_LGH)
    for part in excerpts.split(ROWS):
        share = part.inputs_TB.shape[1] / excerpts.inputs_TB.shape[1]
        for layer, steps in enumerate(steps_by_layer(network, part.inputs_TB)):
            for place, name in enumerate(GATES[a.cell]):
                gate_TBH = torch.stack([step.gates[name] for step in steps])
                shut_LGH[layer, place] += share * (gate_TBH < SHUT).float().mean(dim=(0, 1))
                open_LGH[layer, place] += share * (gate_TBH > OPEN).float().mean(dim=(0, 1))
    return [
        {
            name: Saturation(shut_LGH[layer, place].tolist(), open_LGH[layer, place].tolist())
            for place, name in enumerate(GATES[a.cell])
        }
        for layer in range(a.layers)
    ]

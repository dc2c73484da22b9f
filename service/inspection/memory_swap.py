"""Two texts that exchange their memories, all of them or those of some layers and units.

A whole exchange makes each text go on as the other one would. A part of it shows what that part
carries.
"""

from __future__ import annotations

from torch import Tensor

from model.state import State
from service.inspection.queries import ExchangedPart


def exchange(first: State, second: State, part: ExchangedPart) -> tuple[State, State]:
    """Copies of two states of one row, with the values of ``part`` from each other.

    Args:
        first, second: of one model.
        part: its layers and units exist; a signal that the cell does not have is left out.
    """
    return _with_part_of(first, second, part), _with_part_of(second, first, part)


def _with_part_of(own: State, other: State, part: ExchangedPart) -> State:
    hidden_LBH, cell_LBH = own.hidden_LBH, own.cell_LBH
    if "hidden" in part.signals:
        hidden_LBH = _replace(hidden_LBH, other.hidden_LBH, part)
    if "cell" in part.signals and cell_LBH is not None and other.cell_LBH is not None:
        cell_LBH = _replace(cell_LBH, other.cell_LBH, part)
    return State(hidden_LBH, cell_LBH)


def _replace(own_LBH: Tensor, other_LBH: Tensor, part: ExchangedPart) -> Tensor:
    layers, _, hidden = own_LBH.shape
    replaced_LBH = own_LBH.clone()
    for layer in range(layers) if part.layers is None else part.layers:
        units = range(hidden) if part.units is None else part.units
        index = list(units)
        replaced_LBH[layer, :, index] = other_LBH[layer, :, index]
    return replaced_LBH

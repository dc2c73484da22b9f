"""How much of the loss's gradient comes back k steps, and what theory says of it.

G(k) = E || dL_T / dh_(T-k) ||: the loss of one token, the state k steps before, the mean over
excerpts. For an LSTM the same with respect to the cell c_(T-k), which is where it remembers.

Beside it stands, for an Elman layer, the spectral norm of dh_T / dh_(T-k), the product of the
Jacobians diag(1 - h_t^2) W_h, and the powers of W_h's largest singular value, which bound it, and
of its spectral radius; for an LSTM the product of the forget gates and for a GRU that of the update
gates, which is how much of a unit's memory is kept over k steps. Shape suffixes: K lags, B rows,
H hidden. Knows no training.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from model.inspection import Step
from model.networks import LanguageModel
from training.analysis.excerpts import Excerpts
from training.analysis.networks import InspectedNetwork, steps_by_layer

KEEPING = ("update", "forget")  # the gates by which a GRU and an LSTM keep what they have
ROWS = 32  # excerpts read at a time
PRODUCTS = 1e10  # multiplications in products of Jacobians, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Of one layer, for k from 0 on. ``theory`` has lines of the same length, ``scalars`` numbers.

    Lines: "jacobian_product", "singular_value_power", "spectral_radius_power" (Elman);
    "gate_product", over all units, and "best_gate_product", of the unit that keeps most (GRU,
    LSTM). Scalars: "largest_singular_value", "spectral_radius" (Elman).
    """

    hidden: list[float]
    cell: list[float] | None = None
    theory: dict[str, list[float]] = field(default_factory=dict)
    scalars: dict[str, float] = field(default_factory=dict)


def gradient_flow(
    network: InspectedNetwork,
    excerpts: Excerpts,
    lags: int,
    on_progress: Callable[[float], None] = lambda _: None,
) -> list[Flow]:
    """The flow through every layer, lowest first, in float64; the excerpts are longer than lags.

    ``on_progress`` is told the share of the excerpts that is done.
    """
    network = copy.deepcopy(network).double()
    portions, parts = excerpts.split(ROWS), list[list[_Trace]]()
    for part in portions:
        parts.append(_trace(network, part, lags))
        on_progress(len(parts) / len(portions))
    return [_flow(network, layer, traces) for layer, traces in enumerate(zip(*parts, strict=True))]


def powers(base: float, lags: int) -> list[float]:
    """base^k for k from 0."""
    return [base**lag for lag in range(lags + 1)]


def spectral_radius(weight_HH: Tensor) -> float:
    """The size of the largest eigenvalue."""
    return float(torch.linalg.eigvals(weight_HH.detach().double()).abs().max())


def jacobian_products(weight_HH: Tensor, hidden: Sequence[Tensor]) -> list[Tensor]:
    """dh_T / dh_(T-k) of an Elman layer (B, H, H) for k from 0.

    ``hidden`` has h_T first. Rows of the result are outputs, columns are what they depend on.
    """
    rows, width = hidden[0].shape
    products = [torch.eye(width, dtype=weight_HH.dtype).expand(rows, -1, -1)]
    for hidden_BH in hidden[:-1]:
        slope_BH1 = (1 - hidden_BH.square()).unsqueeze(2)
        products.append(products[-1] @ (slope_BH1 * weight_HH))
    return products


class _Trace(NamedTuple):
    """Of one layer and some excerpts: norms (K, B), the keeping gate's products (K, H), states."""

    hidden_KB: Tensor
    cell_KB: Tensor | None
    kept_KH: Tensor | None
    states: list[Tensor]  # h_T first; of layers without gates


def _trace(network: InspectedNetwork, excerpts: Excerpts, lags: int) -> list[_Trace]:
    with torch.enable_grad():
        layers = steps_by_layer(network, excerpts.inputs_TB)
        logits_BV = network.logits(layers[-1][-1].hidden_BH)
        loss = functional.cross_entropy(logits_BV, excerpts.targets_TB[-1], reduction="sum")
        traces = []
        for steps in layers:
            recent = steps[: -lags - 2 : -1]
            cells = [step.cell_BH for step in recent if step.cell_BH is not None]
            states = [step.hidden_BH.detach() for step in recent if not step.gates]
            hidden_KB = _norms(loss, [step.hidden_BH for step in recent])
            cell_KB = _norms(loss, cells) if cells else None
            traces.append(_Trace(hidden_KB, cell_KB, _kept(recent), states))
    return traces


def _norms(loss: Tensor, states: Sequence[Tensor]) -> Tensor:
    """Of the gradient with respect to each state, row by row: every row has a loss of its own."""
    gradients = torch.autograd.grad(loss, states, retain_graph=True)
    return torch.stack([gradient_BH.norm(dim=1) for gradient_BH in gradients])


def _kept(recent: Sequence[Step]) -> Tensor | None:
    """The mean product of the gate that keeps; the gate of step t carries from t - 1 to t."""
    name = next((name for name in KEEPING if name in recent[0].gates), None)
    if name is None:
        return None
    product_BH = torch.ones_like(recent[0].hidden_BH)
    kept = [product_BH.mean(dim=0)]
    for step in recent[:-1]:
        product_BH = product_BH * step.gates[name].detach()
        kept.append(product_BH.mean(dim=0))
    return torch.stack(kept)


@torch.no_grad()
def _flow(network: InspectedNetwork, layer: int, traces: Sequence[_Trace]) -> Flow:
    hidden_KB = torch.cat([trace.hidden_KB for trace in traces], dim=1)
    cells = [trace.cell_KB for trace in traces if trace.cell_KB is not None]
    cell = torch.cat(cells, dim=1).mean(dim=1).tolist() if cells else None
    theory, scalars = dict[str, list[float]](), dict[str, float]()
    if isinstance(network, LanguageModel) and network.architecture.cell == "elman":
        theory, scalars = _elman_theory(network, layer, traces)
    elif traces[0].kept_KH is not None:
        weighted = [t.kept_KH * t.hidden_KB.shape[1] for t in traces if t.kept_KH is not None]
        kept_KH = torch.stack(weighted).sum(dim=0) / hidden_KB.shape[1]
        theory["gate_product"] = kept_KH.mean(dim=1).tolist()
        theory["best_gate_product"] = kept_KH.amax(dim=1).tolist()
    return Flow(hidden=hidden_KB.mean(dim=1).tolist(), cell=cell, theory=theory, scalars=scalars)


def _elman_theory(
    network: LanguageModel, layer: int, traces: Sequence[_Trace]
) -> tuple[dict[str, list[float]], dict[str, float]]:
    weight_HH: Tensor = getattr(network.recurrent, f"weight_hh_l{layer}")
    largest = float(torch.linalg.matrix_norm(weight_HH, 2))
    radius, lags = spectral_radius(weight_HH), len(traces[0].states) - 1
    theory = {
        "jacobian_product": _product_norms(weight_HH, traces),
        "singular_value_power": powers(largest, lags),
        "spectral_radius_power": powers(radius, lags),
    }
    return theory, {"largest_singular_value": largest, "spectral_radius": radius}


def _product_norms(weight_HH: Tensor, traces: Sequence[_Trace]) -> list[float]:
    """Each excerpt counts by the gradient it has to carry, so that G(k) / G(0) is bounded.

    Wide layers take so long that only the first excerpts count.
    """
    affordable = int(PRODUCTS / (ROWS * len(traces[0].states) * len(weight_HH) ** 3))
    total_K, weight = torch.zeros(len(traces[0].states), dtype=torch.float64), 0.0
    for trace in traces[: max(1, affordable)]:
        gradients_B = trace.hidden_KB[0]
        products = jacobian_products(weight_HH, trace.states)
        total_K += torch.stack([torch.linalg.matrix_norm(p, 2) @ gradients_B for p in products])
        weight += float(gradients_B.sum())
    return (total_K / weight).tolist()

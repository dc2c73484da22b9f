"""Gradient flow: the norm of the loss gradient at the state k steps back, and its theory.

G(k) = E || dL_T / dh_(T-k) || for the loss L_T of one token, with the mean over excerpts. For an
LSTM also the same with respect to the cell state c_(T-k), which is its memory.

The theory for an Elman layer (Pascanu et al., 2013): the spectral norm of dh_T / dh_(T-k), which is
the product of the Jacobians diag(1 - h_t^2) W_h; the powers of the largest singular value of W_h,
which bound it; and the powers of its spectral radius. For an additive layer h + g(h, x) the product
of the Jacobians 1 + dg/dh. For an LSTM the product of the forget gates
and for a GRU that of the update gates: the share of its value that a unit keeps over k steps.

Shapes: K lags, B excerpts, H hidden units, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from model.inspection import LayerStep
from model.networks import LanguageModel
from training.analysis.excerpts import Excerpts
from training.analysis.networks import (
    AdditiveLanguageModel,
    InspectedNetwork,
    steps_by_layer,
)

KEEP_GATES = ("update", "forget")  # the gates that keep the value of a unit in a GRU and an LSTM
FLOW_ROWS = 32  # excerpts in a batch
MAX_MULTIPLICATIONS = 1e10  # in the products of Jacobians


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientFlow:
    """Gradient flow through one layer. All lists are by lag, from 0.

    Attributes:
        hidden: G(k) of the hidden state.
        cell: G(k) of the cell state of an LSTM.
        theory: "jacobian_product", "singular_value_power" and "spectral_radius_power" of an Elman
            layer; "jacobian_product" of an additive layer; "gate_product" (mean of all units) and
            "best_gate_product" (maximum) of a GRU or an LSTM.
        scalars: "largest_singular_value" and "spectral_radius" of an Elman layer.
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
) -> list[GradientFlow]:
    """The flow through every layer, lowest first, computed in float64.

    Args:
        network: is not changed.
        excerpts: longer than ``lags``; the loss is that of their last token.
        lags: the largest lag.
        on_progress: called with the share of the excerpts that is done.
    """
    network = copy.deepcopy(network).double()
    batches, gradients = excerpts.split(FLOW_ROWS), list[list[_LayerGradients]]()
    for batch in batches:
        gradients.append(_batch_gradients(network, batch, lags))
        on_progress(len(gradients) / len(batches))
    by_layer = zip(*gradients, strict=True)
    return [_flow(network, layer, parts) for layer, parts in enumerate(by_layer)]


def powers(base: float, lags: int) -> list[float]:
    """The powers of ``base`` with exponents 0 to ``lags``."""
    return [base**lag for lag in range(lags + 1)]


def spectral_radius(weight_HH: Tensor) -> float:
    """The largest absolute value of an eigenvalue."""
    return float(torch.linalg.eigvals(weight_HH.detach().double()).abs().max())


def jacobian_products(jacobians: Iterable[Tensor]) -> Iterator[Tensor]:
    """dh_T / dh_(T-k), (B, H, H) for each k from 0. Only one is in memory at a time.

    Args:
        jacobians: dh_T / dh_(T-1), dh_(T-1) / dh_(T-2), ..., at least one, each (B, H, H) with one
            row per output and one column per input.
    """
    product_BHH: Tensor | None = None
    for jacobian_BHH in jacobians:
        if product_BHH is None:
            product_BHH = torch.eye(jacobian_BHH.shape[1], dtype=jacobian_BHH.dtype)
            product_BHH = product_BHH.expand_as(jacobian_BHH)
            yield product_BHH
        product_BHH = product_BHH @ jacobian_BHH
        yield product_BHH


def elman_jacobians(weight_HH: Tensor, hidden: Sequence[Tensor]) -> Iterator[Tensor]:
    """diag(1 - h_t^2) W_h of an Elman layer, from the states (B, H), h_T first."""
    for hidden_BH in hidden[:-1]:
        yield (1 - hidden_BH.square()).unsqueeze(2) * weight_HH


def additive_jacobians(weight_HH: Tensor, hidden: Sequence[Tensor]) -> Iterator[Tensor]:
    """1 + diag(1 - g_t^2) W_h of an additive layer, from the states (B, H), h_T first."""
    identity_HH = torch.eye(len(weight_HH), dtype=weight_HH.dtype)
    for hidden_BH, before_BH in pairwise(hidden):
        slope_BH = 1 - (hidden_BH - before_BH).square()
        yield identity_HH + slope_BH.unsqueeze(2) * weight_HH


class _LayerGradients(NamedTuple):
    """Of one layer and one batch.

    Gradient norms (K, B) of hidden and cell state, mean products (K, H) of the keep gate, and for
    layers without gates the hidden states, h_T first.
    """

    hidden_KB: Tensor
    cell_KB: Tensor | None
    kept_KH: Tensor | None
    states: list[Tensor]


def _batch_gradients(
    network: InspectedNetwork, excerpts: Excerpts, lags: int
) -> list[_LayerGradients]:
    with torch.enable_grad():
        layers = steps_by_layer(network, excerpts.inputs_TB)
        logits_BV = network.logits(layers[-1][-1].hidden_BH)
        loss = functional.cross_entropy(logits_BV, excerpts.targets_TB[-1], reduction="sum")
        gradients = []
        for steps in layers:
            recent = steps[: -lags - 2 : -1]
            cells = [step.cell_BH for step in recent if step.cell_BH is not None]
            states = [step.hidden_BH.detach() for step in recent if not step.gates]
            hidden_KB = _gradient_norms(loss, [step.hidden_BH for step in recent])
            cell_KB = _gradient_norms(loss, cells) if cells else None
            gradients.append(_LayerGradients(hidden_KB, cell_KB, _gate_products(recent), states))
        return gradients


def _gradient_norms(loss: Tensor, states: Sequence[Tensor]) -> Tensor:
    """Norms (K, B) of the gradients; the loss is a sum, so each row has its own gradient."""
    gradients = torch.autograd.grad(loss, states, retain_graph=True)
    return torch.stack([gradient_BH.norm(dim=1) for gradient_BH in gradients])


def _gate_products(recent: Sequence[LayerStep]) -> Tensor | None:
    """Mean products (K, H) of the keep gate; that of step t acts between t - 1 and t."""
    name = next((name for name in KEEP_GATES if name in recent[0].gates), None)
    if name is None:
        return None
    product_BH = torch.ones_like(recent[0].hidden_BH)
    means = [product_BH.mean(dim=0)]
    for step in recent[:-1]:
        product_BH = product_BH * step.gates[name].detach()
        means.append(product_BH.mean(dim=0))
    return torch.stack(means)


@torch.no_grad()
def _flow(
    network: InspectedNetwork, layer: int, batches: Sequence[_LayerGradients]
) -> GradientFlow:
    hidden_KB = torch.cat([batch.hidden_KB for batch in batches], dim=1)
    cells = [batch.cell_KB for batch in batches if batch.cell_KB is not None]
    cell = torch.cat(cells, dim=1).mean(dim=1).tolist() if cells else None
    theory, scalars = dict[str, list[float]](), dict[str, float]()
    if isinstance(network, AdditiveLanguageModel):
        if network.weight_HH is not None:
            norms = _product_norms(additive_jacobians, network.weight_HH, batches)
            theory["jacobian_product"] = norms
    elif network.architecture.cell == "elman":
        theory, scalars = _elman_theory(network, layer, batches)
    elif batches[0].kept_KH is not None:
        weighted = [b.kept_KH * b.hidden_KB.shape[1] for b in batches if b.kept_KH is not None]
        kept_KH = torch.stack(weighted).sum(dim=0) / hidden_KB.shape[1]
        theory["gate_product"] = kept_KH.mean(dim=1).tolist()
        theory["best_gate_product"] = kept_KH.amax(dim=1).tolist()
    hidden = hidden_KB.mean(dim=1).tolist()
    return GradientFlow(hidden=hidden, cell=cell, theory=theory, scalars=scalars)


def _elman_theory(
    network: LanguageModel, layer: int, batches: Sequence[_LayerGradients]
) -> tuple[dict[str, list[float]], dict[str, float]]:
    weight_HH: Tensor = getattr(network.recurrent, f"weight_hh_l{layer}")
    largest = float(torch.linalg.matrix_norm(weight_HH, 2))
    radius, lags = spectral_radius(weight_HH), len(batches[0].states) - 1
    theory = {
        "jacobian_product": _product_norms(elman_jacobians, weight_HH, batches),
        "singular_value_power": powers(largest, lags),
        "spectral_radius_power": powers(radius, lags),
    }
    return theory, {"largest_singular_value": largest, "spectral_radius": radius}


def _product_norms(
    jacobians: Callable[[Tensor, Sequence[Tensor]], Iterable[Tensor]],
    weight_HH: Tensor,
    batches: Sequence[_LayerGradients],
) -> list[float]:
    """Mean norms of the products, weighted by the gradients at lag 0, so that they bound G(k)/G(0).

    Wide layers use the first batches alone, because a product takes H^3 multiplications.
    """
    lags = len(batches[0].states)
    affordable = int(MAX_MULTIPLICATIONS / (FLOW_ROWS * lags * len(weight_HH) ** 3))
    total_K, weight = torch.zeros(lags, dtype=torch.float64), 0.0
    for batch in batches[: max(1, affordable)]:
        gradients_B = batch.hidden_KB[0]
        products = jacobian_products(jacobians(weight_HH, batch.states))
        total_K += torch.stack([torch.linalg.matrix_norm(p, 2) @ gradients_B for p in products])
        weight += float(gradients_B.sum())
    return (total_K / weight).tolist()

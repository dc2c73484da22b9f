"""Results of `gradients` as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from training.analysis.effective_context import ContextLosses
from training.analysis.gate_saturation import GateSaturation
from training.analysis.gradient_flow import GradientFlow
from training.analysis.short_training import TrainingCurve


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkResults:
    """Results of one network. Lists are by layer, lowest first.

    Attributes:
        name: of the cell or of the artifact.
        cell: "elman", "gru", "lstm" or "additive".
        parameters: their number.
        initial_loss: loss in nats on the held-out excerpts before training; None for an artifact.
        loss: the same after training.
        initial: gradient flow before training; None for an artifact.
        flow: gradient flow after training.
        context: loss by context length.
        gates: saturation by gate; empty for an additive network.
    """

    name: str
    cell: str
    parameters: int
    initial_loss: float | None
    loss: float
    initial: list[GradientFlow] | None
    flow: list[GradientFlow]
    context: ContextLosses
    gates: list[dict[str, GateSaturation]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientResults:
    """Results of a run; ``clipping`` has the training curves of "none", "norm" and "value"."""

    text: str
    networks: list[NetworkResults]
    clipping: dict[str, TrainingCurve] = field(default_factory=dict)

    def network(self, name: str) -> NetworkResults | None:
        """The results of the network of that name, if it was analyzed."""
        return next((network for network in self.networks if network.name == name), None)

    def record(self, **more: Any) -> Mapping[str, Any]:
        """The results as values for JSON, after the fields of ``more``."""
        return {**more, **asdict(self)}

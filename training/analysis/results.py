"""Results of `gradients` as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from training.analysis.effective_context import ContextLosses
from training.analysis.gate_saturation import GateSaturation
from training.analysis.gradient_flow import GradientFlow
from training.analysis.initial_flow import InitialFlow
from training.analysis.short_training import TrainingCurve
from training.analysis.step_factors import StepFactor


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkResults:
    """Results of one network. Lists are by layer, lowest first.

    Attributes:
        name: of the cell or of the artifact.
        cell: "elman", "gru", "lstm", "additive" or "sum".
        parameters: their number.
        initial_loss: loss in nats on the held-out excerpts before training; None for an artifact.
        loss: the same after training.
        initial: gradient flow before training; None for an artifact.
        flow: gradient flow after training.
        context: loss by context length.
        gates: saturation by gate; empty for an additive network.
        training: the short training; None for an artifact.
        factors: the derivation step by step, of an Elman network with one unit.
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
    training: TrainingCurve | None = None
    factors: list[StepFactor] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class GradientResults:
    """Results of a run. The analysis adds to them, so a run that is stopped keeps what it has.

    Attributes:
        text: the name of the text.
        networks: in the order of the analysis.
        radii: flow through untrained Elman networks by spectral radius.
        initializations: flow through untrained networks by initialization.
        clipping: the training curves of "none", "norm" and "value".
        clip_norm, clip_value: the limits of ``clipping``.
        tokens_differ: whether the artifacts cut the text into different tokens.
        complete: whether the analysis has reached its end.
    """

    text: str
    networks: list[NetworkResults] = field(default_factory=list)
    radii: list[InitialFlow] = field(default_factory=list)
    initializations: list[InitialFlow] = field(default_factory=list)
    clipping: dict[str, TrainingCurve] = field(default_factory=dict)
    clip_norm: float = 0.0
    clip_value: float = 0.0
    tokens_differ: bool = False
    complete: bool = False

    @property
    def of_artifacts(self) -> bool:
        """Whether the networks are artifacts, which are not trained here."""
        return any(network.initial is None for network in self.networks)

    def network(self, name: str) -> NetworkResults | None:
        """The results of the network of that name, if it was analyzed."""
        return next((network for network in self.networks if network.name == name), None)

    def record(self, **more: Any) -> Mapping[str, Any]:
        """The results as values for JSON, after the fields of ``more``."""
        return {**more, **asdict(self)}

"""All that `python -m training gradients` found, as plain numbers. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from training.analysis.effective_context import Context
from training.analysis.gate_saturation import Saturation
from training.analysis.gradient_flow import Flow
from training.analysis.short_training import TrainingCurve


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFindings:
    """Of one network; layers are lists, lowest first.

    ``initial`` is the flow before training, None of an artifact. ``loss`` is that of the held-out
    excerpts, ``initial_loss`` the same before training.
    """

    name: str
    cell: str
    parameters: int
    initial_loss: float | None
    loss: float
    initial: list[Flow] | None
    flow: list[Flow]
    context: Context
    gates: list[dict[str, Saturation]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Of a whole run; ``clipping`` has the courses of "none", "norm" and "value"."""

    text: str
    networks: list[NetworkFindings]
    clipping: dict[str, TrainingCurve] = field(default_factory=dict)

    def network(self, name: str) -> NetworkFindings | None:
        """The one of that name, if it was looked into."""
        return next((found for found in self.networks if found.name == name), None)

    def record(self, **more: Any) -> Mapping[str, Any]:
        """Everything as JSON can hold it, after ``more``."""
        return {**more, **asdict(self)}

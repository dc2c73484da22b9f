"""The roofline bound of a step (Williams et al., 2009): the time of reading its weights once or the
time of its multiply-adds, whichever is longer.
"""

from dataclasses import dataclass
from typing import Literal

from benchmarks.roofline.probe import RooflineLimits
from model.architecture import GATE_BLOCKS, LanguageModelArchitecture


@dataclass(frozen=True)
class StepBound:
    """The minimum time of a step, and the resource that sets it."""

    seconds: float
    by: Literal["bytes", "multiply-adds"]

    def share(self, seconds: float) -> float:
        """The ratio of the bound to a measured time; 1 reaches the bound."""
        return self.seconds / seconds


def weights_per_step(architecture: LanguageModelArchitecture, *, looked_up: bool) -> int:
    """Weights that a step multiplies for each row, without biases and sampling.

    Args:
        architecture: of the language model.
        looked_up: the first layer's input products are read from a table.
    """
    a = architecture
    inputs = [0 if looked_up else a.embedding, *[a.hidden] * (a.layers - 1)]
    recurrent = sum(GATE_BLOCKS[a.cell] * a.hidden * (width + a.hidden) for width in inputs)
    projection = 0 if a.projection is None else a.hidden * a.projection
    return recurrent + projection + a.output_input * a.vocabulary


def step_bound(
    limits: RooflineLimits, weights: int, bytes_per_weight: int, rows: int
) -> StepBound | None:
    """The bound of one step of ``rows`` rows; None if the machine's limits are unknown."""
    peak = limits.multiply_adds(bytes_per_weight)
    size = weights * bytes_per_weight
    rate = limits.reads.get(size, 0.0)
    if not peak or not rate:
        return None
    reading, multiplying = size / rate, weights * rows / peak
    if reading >= multiplying:
        return StepBound(reading, "bytes")
    return StepBound(multiplying, "multiply-adds")

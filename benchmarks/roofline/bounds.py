"""How fast a step could be: its weights read once at the machine's speed, or its multiply-adds
done at the machine's speed, whichever takes longer (the roofline; Williams et al., 2009).

Knows how many weights a step multiplies, and no clock.
"""

from dataclasses import dataclass
from typing import Literal

from benchmarks.roofline.probe import Limits
from model.architecture import GATE_BLOCKS, LanguageModelArchitecture


@dataclass(frozen=True)
class Bound:
    """The least time of a step, and what it is spent on."""

    seconds: float
    by: Literal["bytes", "multiply-adds"]

    def share(self, seconds: float) -> float:
        """What share of the limit a step of this length reaches."""
        return self.seconds / seconds


def weights_per_step(architecture: LanguageModelArchitecture, *, looked_up: bool) -> int:
    """Weights that a step multiplies with each row, biases and sampling left out.

    Args:
        architecture: of the language model.
        looked_up: the first layer's input products come from a table: that much less to do.
    """
    a = architecture
    inputs = [0 if looked_up else a.embedding, *[a.hidden] * (a.layers - 1)]
    recurrent = sum(GATE_BLOCKS[a.cell] * a.hidden * (width + a.hidden) for width in inputs)
    projection = 0 if a.projection is None else a.hidden * a.projection
    return recurrent + projection + a.output_input * a.vocabulary


def bound(limits: Limits, weights: int, bytes_per_weight: int, rows: int) -> Bound | None:
    """The limit of one step over so many rows; None where the machine's is not known."""
    peak = limits.multiply_adds(bytes_per_weight)
    size = weights * bytes_per_weight
    rate = limits.reads.get(size, 0.0)
    if not peak or not rate:
        return None
    reading, multiplying = size / rate, weights * rows / peak
    if reading >= multiplying:
        return Bound(reading, "bytes")
    return Bound(multiplying, "multiply-adds")

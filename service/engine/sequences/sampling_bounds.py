"""Refuses sampling options that would do harm in a step shared with others.

The door checks what clients send against limits of its own; what passes here cannot make the
arithmetic of a step overflow. Knows no wire format.
"""

from __future__ import annotations

from service.engine.api.errors import InvalidTask
from service.kernel.api.interface import Sampling

LARGEST_SEED = 2**64 - 1
LIMITS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 1e4),
    "top_k": (0, 2**31 - 1),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (0.01, 100.0),
    "seed": (0, LARGEST_SEED),
}


def check_sampling(sampling: Sampling) -> None:
    """Raises InvalidTask naming the field. Not-a-number is outside of every range."""
    for field, (lowest, highest) in LIMITS.items():
        value = getattr(sampling, field)
        if not lowest <= value <= highest:
            raise InvalidTask(field, f"expected {lowest} to {highest}, got {value}")

"""What was found about a language model: figures, where its loss comes from, its training.

Does not know files, networks or plots.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from model.tokenization.tokenizer import Tokenizer
from training.evaluation.language_model import Measured
from training.evaluation.token_losses import Bin, FrequencyBins, by_frequency, by_position
from training.runs.history import History


@dataclass(frozen=True, slots=True)
class LanguageModelFindings:
    """What was found about one model on one text."""

    figures: dict[str, float]
    frequency: FrequencyBins
    position: list[Bin]
    history: History | None

    def details(self) -> dict[str, Any]:
        """As plain values."""
        history = {} if self.history is None else {"training_curves": self.history.record()}
        return {
            "by_frequency": asdict(self.frequency),
            "by_position": [asdict(found) for found in self.position],
            **history,
        }


def findings(
    measured: Measured, tokenizer: Tokenizer, history: History | None
) -> LanguageModelFindings:
    """Sorts the losses of an evaluation into bins."""
    losses_N = measured.losses_N.numpy().astype(np.float64)
    return LanguageModelFindings(
        measured.figures,
        by_frequency(measured.stream, losses_N, tokenizer),
        by_position(measured.stream, losses_N),
        history,
    )

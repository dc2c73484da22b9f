"""The task of the race: recall a symbol after a number of steps.

A row is a symbol to recall, random fillers, and a question mark, which is ``distance`` steps after
the symbol. The answer is the symbol. After Hochreiter and Schmidhuber, "Long Short-Term Memory"
(1997), whose tasks also separate the relevant symbol from its answer by random ones.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from training.analysis.excerpts import Excerpts

SYMBOLS, FILLERS = 8, 8
QUESTION = SYMBOLS + FILLERS  # the token after which the answer is given
VOCABULARY = QUESTION + 1
CHANCE = 1 / SYMBOLS  # share of right answers by guessing
CHANCE_LOSS = math.log(SYMBOLS)  # nats


def draw_recall(rows: int, distance: int, generator: np.random.Generator) -> Excerpts:
    """Inputs and targets (distance + 1, rows). Only the last target is to be predicted.

    Args:
        rows: their number.
        distance: steps from the symbol to the question, at least 1.
        generator: of symbols and fillers.
    """
    inputs_TB = generator.integers(SYMBOLS, SYMBOLS + FILLERS, (distance + 1, rows))
    symbols_B = generator.integers(0, SYMBOLS, rows)
    inputs_TB[0], inputs_TB[-1] = symbols_B, QUESTION
    targets_TB = np.broadcast_to(symbols_B, inputs_TB.shape).copy()
    return Excerpts(torch.from_numpy(inputs_TB), torch.from_numpy(targets_TB))

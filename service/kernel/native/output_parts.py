"""The head and the tails of an output layer, as arrays.

:mod:`model.output_layer` explains them and has the same in torch.

Shape suffixes: H width of the input, D width of a tail's input, J entries of the head, K words of a
tail.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from model.architecture import LanguageModelArchitecture
from model.storage.weights import Weights
from service.kernel.api.interface import FloatArray


class TailArrays(NamedTuple):
    """The words ``begin`` up to ``end``; ``narrow_DH`` projects the input (None: no projection)."""

    begin: int
    end: int
    narrow_DH: FloatArray | None
    weight_KD: FloatArray
    bias_K: FloatArray


class OutputArrays(NamedTuple):
    """The head's words, [END] and one entry for each tail; without tails, the whole vocabulary."""

    weight_JH: FloatArray
    bias_J: FloatArray
    tails: tuple[TailArrays, ...] = ()


def output_arrays(weights: Weights[LanguageModelArchitecture]) -> OutputArrays:
    """The output layer of a language model."""
    a = weights.architecture
    weight = weights["embedding.weight" if a.tied else "output.weight"]
    bias = weights["output.bias"]
    if a.division is None:
        return OutputArrays(weight, bias)
    head = a.cutoffs[0]
    weight_JH = np.concatenate([weight[:head], weight[-1:], weights["output.entries.weight"]])
    bias_J = np.concatenate([bias[:head], bias[-1:], weights["output.entries.bias"]])
    tails = []
    for index, (begin, end) in enumerate(pairwise((*a.cutoffs, a.vocabulary - 1))):
        narrow, words = None, weight[begin:end]
        if a.division > 1:
            narrow = weights[f"output.tails.{index}.narrow.weight"]
            words = weights[f"output.tails.{index}.words.weight"]
        tails.append(TailArrays(begin, end, narrow, words, bias[begin:end]))
    return OutputArrays(weight_JH, bias_J, tuple(tails))

"""The output layer of the torch kernel: from the last layer's hidden states to sampler results.

A full softmax computes the logit of every token. An adaptive softmax computes the head for all rows
with a request and each tail for the rows that need it. Batches are padded to ``row_multiple`` (see
:mod:`service.kernel.pytorch.linear`).

Shape suffixes: B rows with a request, padded; H hidden, P input of the output layer, J entries of
the head, K words of a tail.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from model.networks import LanguageModel
from model.output_layer import Parts, Tail
from service.kernel.api.interface import FloatArray
from service.kernel.pytorch.adaptive_sampler import AdaptiveSampler
from service.kernel.pytorch.linear import PackedLinear
from service.kernel.pytorch.sampler import Sampler, SamplerRequest, SamplerResult


class TorchOutput:
    """Sampler results for the rows of a step."""

    def __init__(self, network: LanguageModel, suppressed: Collection[int]) -> None:
        parts = network.output.parts()
        self._projection = _packed_all(network.projection)
        self._head = PackedLinear(parts.weight_JH, parts.bias_J)
        self._tails = [_packed_tail(tail) for tail in parts.tails]
        self._sampler = _sampler(parts, network.architecture.vocabulary, suppressed)
        self.row_multiple = self._head.row_multiple

    def answer(self, hidden_BH: Tensor, asks: Sequence[SamplerRequest]) -> list[SamplerResult]:
        """One result for each request; further rows are padding."""
        read_BP = _through(self._projection, hidden_BH)
        head_BJ = self._head(read_BP).numpy()
        if isinstance(self._sampler, Sampler):
            return self._sampler.answer(head_BJ, asks)

        def tail_logits(tail: int, rows: Sequence[int]) -> FloatArray:
            padded = [*rows, *[rows[0]] * (-len(rows) % self.row_multiple)]
            tail_BK = _through(self._tails[tail], read_BP.index_select(0, torch.tensor(padded)))
            return tail_BK[: len(rows)].numpy()

        return self._sampler.answer(head_BJ[: len(asks)], tail_logits, asks)


def _sampler(
    parts: Parts, vocabulary: int, suppressed: Collection[int]
) -> Sampler | AdaptiveSampler:
    if not parts.tails:
        return Sampler(vocabulary, suppressed)
    return AdaptiveSampler([(tail.begin, tail.end) for tail in parts.tails], suppressed)


def _packed_all(linear: nn.Linear | None) -> list[PackedLinear]:
    return [] if linear is None else [PackedLinear(linear.weight, linear.bias)]


def _packed_tail(tail: Tail) -> list[PackedLinear]:
    words, narrow_DH = PackedLinear(tail.weight_KD, tail.bias_K), tail.narrow_DH
    if narrow_DH is None:
        return [words]
    return [PackedLinear(narrow_DH, torch.zeros(len(narrow_DH))), words]


def _through(linears: Sequence[PackedLinear], values: Tensor) -> Tensor:
    for linear in linears:
        values = linear(values)
    return values

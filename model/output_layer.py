"""The output layer of a language model: from a hidden state to a distribution over all words.

Two kinds, seen through one shape. The full softmax has one weight vector for each word. The
adaptive softmax (Grave et al., 2017, "Efficient softmax approximation for GPUs") puts the frequent
words and [END] in a head, and the rarer ones in tails, each behind one entry of the head:
p(word) = p(tail) p(word | tail). So a tail is only worked on when one of its words may be meant,
and it may read a narrower vector. `Parts` shows both kinds as a head and tails; the full softmax is
a head alone. Knows tokens as integers only: the lower, the more frequent, and [END] the last one.

Shape suffixes: N predictions, H the width that is read, D a tail's own width, V vocabulary,
J entries of the head, K words of a tail.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.architecture import LanguageModelArchitecture


class Tail(NamedTuple):
    """The words ``begin`` up to ``end``; ``narrow_DH`` None: it reads the vector as it is."""

    begin: int
    end: int
    narrow_DH: Tensor | None
    weight_KD: Tensor
    bias_K: Tensor

    def narrowed(self, hidden_NH: Tensor) -> Tensor:
        """The vectors (..., D) that this tail reads."""
        return hidden_NH if self.narrow_DH is None else functional.linear(hidden_NH, self.narrow_DH)


class Parts(NamedTuple):
    """The head's entries are words from 0 on, [END], then one for each tail; without tails, words.

    ``tails`` follow each other, and the last one ends where [END] stands.
    """

    weight_JH: Tensor
    bias_J: Tensor
    tails: tuple[Tail, ...] = ()

    def entries(self, tokens_N: Tensor) -> Tensor:
        """The entry of the head that stands for each token: its own, or its tail's."""
        if not self.tails:
            return tokens_N
        listed, end = self.tails[0].begin, self.tails[-1].end
        borders = torch.tensor([tail.end for tail in self.tails])
        in_tail_N = listed + 1 + torch.bucketize(tokens_N, borders, right=True)
        own_N = torch.where(tokens_N == end, listed, in_tail_N)
        return torch.where(tokens_N < listed, tokens_N, own_N)

    def log_probability(self, hidden_NH: Tensor, tokens_N: Tensor) -> Tensor:
        """The log p of one token after each vector, float32 or wider; no tail without need."""
        found_N = _gathered(hidden_NH, self.weight_JH, self.bias_J, self.entries(tokens_N))
        for tail in self.tails:
            rows_R = ((tokens_N >= tail.begin) & (tokens_N < tail.end)).nonzero().flatten()
            read_RD = tail.narrowed(hidden_NH[rows_R])
            inside_R = tokens_N[rows_R] - tail.begin
            found_N = found_N.index_add(
                0, rows_R, _gathered(read_RD, tail.weight_KD, tail.bias_K, inside_R)
            )
        return found_N


class FullOutput(nn.Linear):
    """A weight vector and a bias for each word."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__(width, vocabulary)
        nn.init.zeros_(self.bias)

    @torch.no_grad()
    def init_bias_from_frequencies(self, shares_V: Tensor) -> None:
        """Before training: predicts each word as often as it stands in the data.

        Learning that takes long, longest for rare words, which a sampled softmax seldom meets.
        """
        self.bias.copy_(shares_V.log())

    def parts(self) -> Parts:
        """A head alone."""
        return Parts(self.weight, self.bias)


class AdaptiveOutput(nn.Module):
    """The adaptive softmax.

    ``weight`` holds the head's words in its first rows and [END] in its last. Where tails are as
    wide as the head (``division`` 1), its other rows are their words; else each tail has weights of
    its own, ``division`` times narrower than those of the part before it.
    """

    def __init__(
        self, width: int, vocabulary: int, cutoffs: tuple[int, ...], division: int
    ) -> None:
        super().__init__()
        self._borders = (*cutoffs, vocabulary - 1)
        rows = vocabulary if division == 1 else cutoffs[0] + 1
        self.weight = nn.Parameter(torch.empty(rows, width))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as nn.Linear
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.entries = nn.Linear(width, len(cutoffs))
        nn.init.zeros_(self.entries.bias)
        self.tails = nn.ModuleList()
        for place, (begin, end) in enumerate(pairwise(self._borders), start=1):
            if division > 1:
                self.tails.append(_NarrowTail(width, max(1, width // division**place), end - begin))

    @torch.no_grad()
    def init_bias_from_frequencies(self, shares_V: Tensor) -> None:
        """As of the full softmax; the entry of a tail is as likely as its words together."""
        self.bias.copy_(shares_V.log())
        in_tails = [shares_V[begin:end].sum() for begin, end in pairwise(self._borders)]
        self.entries.bias.copy_(torch.stack(in_tails).log())

    def parts(self) -> Parts:
        """The head, put together, and the tails."""
        listed = self._borders[0]
        words = [end - begin for begin, end in pairwise(self._borders)]
        # One split and not many slices: the gradient of each slice would be as large as the whole.
        bias, *tail_biases, end_bias = self.bias.split([listed, *words, 1])
        rest = [len(self.weight) - listed - 1] if len(self.tails) > 0 else words
        weight, *tail_weights, end_weight = self.weight.split([listed, *rest, 1])
        return Parts(
            torch.cat([weight, end_weight, self.entries.weight]),
            torch.cat([bias, end_bias, self.entries.bias]),
            tuple(self._tails(tail_weights, tail_biases)),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """The log p (..., V) of every word, float32 or wider."""
        parts = self.parts()
        head = _log_softmax(functional.linear(hidden, parts.weight_JH, parts.bias_J))
        listed = self._borders[0]
        found = [head[..., :listed]]
        for place, tail in enumerate(parts.tails, start=listed + 1):
            inside = functional.linear(tail.narrowed(hidden), tail.weight_KD, tail.bias_K)
            found.append(_log_softmax(inside) + head[..., place : place + 1])
        return torch.cat([*found, head[..., listed : listed + 1]], dim=-1)

    def _tails(self, weights: list[Tensor], biases: list[Tensor]) -> Iterator[Tail]:
        for place, (begin, end) in enumerate(pairwise(self._borders)):
            own = self.tails[place] if len(self.tails) > 0 else None
            if isinstance(own, _NarrowTail):
                yield Tail(begin, end, own.narrow.weight, own.words.weight, biases[place])
            else:
                yield Tail(begin, end, None, weights[place], biases[place])


class _NarrowTail(nn.Module):
    """Weights of a tail that is narrower than the head."""

    def __init__(self, width: int, own_width: int, words: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(width, own_width, bias=False)
        self.words = nn.Linear(own_width, words, bias=False)


OutputLayer = FullOutput | AdaptiveOutput


def build_output(architecture: LanguageModelArchitecture) -> OutputLayer:
    """An untrained output layer of the kind that the architecture names."""
    width, vocabulary = architecture.output_input, architecture.vocabulary
    if architecture.division is None:
        return FullOutput(width, vocabulary)
    return AdaptiveOutput(width, vocabulary, architecture.cutoffs, architecture.division)


def _gathered(hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor, chosen_N: Tensor) -> Tensor:
    logits_NV = _precise(functional.linear(hidden_NH, weight_VH, bias_V))
    return logits_NV.gather(1, chosen_N.unsqueeze(1)).squeeze(1) - logits_NV.logsumexp(1)


def _log_softmax(logits: Tensor) -> Tensor:
    return functional.log_softmax(_precise(logits), dim=-1)


def _precise(logits: Tensor) -> Tensor:
    """Eight bits of mantissa are too few for sums of exponentials."""
    return logits.float() if logits.dtype == torch.bfloat16 else logits

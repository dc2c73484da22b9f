"""Output layers of a language model: a full softmax and an adaptive softmax.

The full softmax has one weight vector for each word. The adaptive softmax (Grave et al., "Efficient
softmax approximation for GPUs", 2017) has a head with the frequent words and [END], and tails with
the rarer words. The head has one entry for each tail: p(word) = p(tail) p(word | tail). A tail is
computed only for the rows that need it, and its input may be narrower. Low token ids must be the
frequent ones; [END] is the last id. :class:`Parts` presents both kinds as a head and tails; a full
softmax has no tails.

Shape suffixes: N predictions, H width of the input, D width of a tail's input, V vocabulary,
J entries of the head, K words of a tail, R rows that need a tail.
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
    """The words ``begin`` up to ``end``; ``narrow_DH`` projects the input (None: no projection)."""

    begin: int
    end: int
    narrow_DH: Tensor | None
    weight_KD: Tensor
    bias_K: Tensor

    def narrowed(self, hidden_NH: Tensor) -> Tensor:
        """The tail's input (..., D)."""
        return hidden_NH if self.narrow_DH is None else functional.linear(hidden_NH, self.narrow_DH)


class Parts(NamedTuple):
    """Weights and biases of the head, and the tails.

    The head's entries are the words from id 0, then [END], then one for each tail; without tails,
    the whole vocabulary. The tails are contiguous, and the last one ends before the id of [END].
    """

    weight_JH: Tensor
    bias_J: Tensor
    tails: tuple[Tail, ...] = ()

    def entries(self, tokens_N: Tensor) -> Tensor:
        """The entry of the head for each token: its own, or that of its tail."""
        if not self.tails:
            return tokens_N
        head_words, end = self.tails[0].begin, self.tails[-1].end
        boundaries = torch.tensor([tail.end for tail in self.tails])
        tail_entry_N = head_words + 1 + torch.bucketize(tokens_N, boundaries, right=True)
        entry_N = torch.where(tokens_N == end, head_words, tail_entry_N)
        return torch.where(tokens_N < head_words, tokens_N, entry_N)

    def log_probability(self, hidden_NH: Tensor, tokens_N: Tensor) -> Tensor:
        """Log-probability (N,) of one token for each input vector, in float32 or wider.

        A tail is computed for the rows of its own words only.
        """
        logprob_N = _gathered(hidden_NH, self.weight_JH, self.bias_J, self.entries(tokens_N))
        for tail in self.tails:
            rows_R = ((tokens_N >= tail.begin) & (tokens_N < tail.end)).nonzero().flatten()
            input_RD = tail.narrowed(hidden_NH[rows_R])
            index_R = tokens_N[rows_R] - tail.begin
            logprob_N = logprob_N.index_add(
                0, rows_R, _gathered(input_RD, tail.weight_KD, tail.bias_K, index_R)
            )
        return logprob_N


class FullOutput(nn.Linear):
    """A full softmax: a weight vector and a bias for each word."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__(width, vocabulary)
        nn.init.zeros_(self.bias)

    @torch.no_grad()
    def init_bias_from_frequencies(self, frequency_V: Tensor) -> None:
        """Initializes the biases to the log of the unigram frequencies, which sum to 1.

        Training learns them slowly, slowest for rare words under a sampled softmax.
        """
        self.bias.copy_(frequency_V.log())

    def parts(self) -> Parts:
        """The head, without tails."""
        return Parts(self.weight, self.bias)


class AdaptiveOutput(nn.Module):
    """An adaptive softmax.

    The first rows of ``weight`` are the head's words, and the last one is [END]. With a
    ``division`` of 1 the rows between them are the words of the tails. Otherwise each tail has its
    own weights, ``division`` times narrower than those of the part before it.
    """

    def __init__(
        self, width: int, vocabulary: int, cutoffs: tuple[int, ...], division: int
    ) -> None:
        super().__init__()
        self._boundaries = (*cutoffs, vocabulary - 1)
        rows = vocabulary if division == 1 else cutoffs[0] + 1
        self.weight = nn.Parameter(torch.empty(rows, width))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as nn.Linear
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.entries = nn.Linear(width, len(cutoffs))
        nn.init.zeros_(self.entries.bias)
        self.tails = nn.ModuleList()
        for index, (begin, end) in enumerate(pairwise(self._boundaries), start=1):
            if division > 1:
                self.tails.append(_NarrowTail(width, max(1, width // division**index), end - begin))

    @torch.no_grad()
    def init_bias_from_frequencies(self, frequency_V: Tensor) -> None:
        """Sets biases as in the full softmax; the entry of a tail has its summed frequency."""
        self.bias.copy_(frequency_V.log())
        tail_frequencies = [
            frequency_V[begin:end].sum() for begin, end in pairwise(self._boundaries)
        ]
        self.entries.bias.copy_(torch.stack(tail_frequencies).log())

    def parts(self) -> Parts:
        """The head and the tails."""
        head_words = self._boundaries[0]
        tail_words = [end - begin for begin, end in pairwise(self._boundaries)]
        # A single split: the gradient of each slice would be as large as the whole tensor.
        bias, *tail_biases, end_bias = self.bias.split([head_words, *tail_words, 1])
        rows = [len(self.weight) - head_words - 1] if len(self.tails) > 0 else tail_words
        weight, *tail_weights, end_weight = self.weight.split([head_words, *rows, 1])
        return Parts(
            torch.cat([weight, end_weight, self.entries.weight]),
            torch.cat([bias, end_bias, self.entries.bias]),
            tuple(self._tails(tail_weights, tail_biases)),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Log-probabilities (..., V) of all words, in float32 or wider."""
        parts = self.parts()
        head = _log_softmax(functional.linear(hidden, parts.weight_JH, parts.bias_J))
        head_words = self._boundaries[0]
        logprobs = [head[..., :head_words]]
        for entry, tail in enumerate(parts.tails, start=head_words + 1):
            logits = functional.linear(tail.narrowed(hidden), tail.weight_KD, tail.bias_K)
            logprobs.append(_log_softmax(logits) + head[..., entry : entry + 1])
        return torch.cat([*logprobs, head[..., head_words : head_words + 1]], dim=-1)

    def _tails(self, weights: list[Tensor], biases: list[Tensor]) -> Iterator[Tail]:
        for index, (begin, end) in enumerate(pairwise(self._boundaries)):
            narrow_tail = self.tails[index] if len(self.tails) > 0 else None
            if isinstance(narrow_tail, _NarrowTail):
                narrow, words = narrow_tail.narrow.weight, narrow_tail.words.weight
                yield Tail(begin, end, narrow, words, biases[index])
            else:
                yield Tail(begin, end, None, weights[index], biases[index])


class _NarrowTail(nn.Module):
    """Weights of a tail that is narrower than the head."""

    def __init__(self, width: int, tail_width: int, words: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(width, tail_width, bias=False)
        self.words = nn.Linear(tail_width, words, bias=False)


OutputLayer = FullOutput | AdaptiveOutput


def build_output(architecture: LanguageModelArchitecture) -> OutputLayer:
    """The output layer of an architecture with random initial weights."""
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
    """The logits in float32 if they are bfloat16, which is too coarse for sums of exponentials."""
    return logits.float() if logits.dtype == torch.bfloat16 else logits

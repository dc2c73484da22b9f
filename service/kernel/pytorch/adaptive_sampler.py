"""Sampling and scoring for an adaptive softmax (Grave et al., 2017); only tails that matter are
computed.

p(word) = p(tail) p(word | tail), and the head alone bounds the probability of any word of a tail.
Without penalty and filters a token is sampled by a race in two rounds (see
:mod:`service.kernel.pytorch.sampler`). In the first round the head's words race against the tails.
A tail that wins holds a second race of its words, with other random numbers. At temperature 1 the
head's entry gives a tail's arrival. At other temperatures the sum of its words' weights decides.
This sum is at most the entry's weight, times words^(1 - 1 / temperature) above temperature 1. The
arrival with that weight is a bound, and the sum is computed only if the bound beats the words.
Greedy sampling uses the largest weight instead of the sum, and no random numbers. Filters,
penalties and constraints work on the log-probabilities of all words.

Random numbers count the head's entries from 0, then the words of the tails. Scores are
log-probability / temperature - log E, in float64. The highest score wins, the lower id on a tie.

Shape suffixes: R rows, J entries of the head, K words of a tail, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from service.kernel.api.filters import is_filtered
from service.kernel.api.interface import FloatArray, Scored
from service.kernel.api.validation import check_suppressed
from service.kernel.pytorch.counter_rng import uniforms
from service.kernel.pytorch.sampler import (
    Sampler,
    SamplerRequest,
    SamplerResult,
    divisor,
    exponentials,
    highest,
    random_keys,
    report,
)

Scores = NDArray[np.float64]
TailLogits = Callable[[int, Sequence[int]], FloatArray]
"""Logits (rows, words) of a tail for some of the rows."""


class AdaptiveSampler:
    """Samples from rows of a head's logits and from the tails that a row needs.

    ``tails``: the first id of each tail and the one after its last; [END] alone follows the last
    tail.
    """

    def __init__(self, tails: Sequence[tuple[int, int]], suppressed: Collection[int]) -> None:
        self._tails = tails
        self._listed = tails[0][0]
        self._end = tails[-1][1]
        vocabulary = self._end + 1
        check_suppressed(suppressed, vocabulary)
        self._suppressed = sorted(set(suppressed))
        self._all = Sampler(vocabulary, suppressed)

    def answer(
        self, head_RJ: FloatArray, tail_logits: TailLogits, asks: Sequence[SamplerRequest]
    ) -> list[SamplerResult]:
        """One result for each row. Raises FloatingPointError on logits that are not finite."""
        rows = [
            _Row(ask, head_J, self) for ask, head_J in zip(asks, _log_softmax(head_RJ), strict=True)
        ]
        for tail in range(len(self._tails)):
            needing = [index for index, row in enumerate(rows) if tail in row.needed]
            if needing:
                logprobs = _log_softmax(tail_logits(tail, needing))
                for index, inside_K in zip(needing, logprobs, strict=True):
                    rows[index].inside[tail] = inside_K
        return [row.answer() for row in rows]

    @property
    def tails(self) -> Sequence[tuple[int, int]]:
        """The first id of each tail and the one after its last."""
        return self._tails

    @property
    def listed(self) -> int:
        """The number of words in the head. The entry of [END] follows them."""
        return self._listed

    @property
    def end(self) -> int:
        """The id of [END]."""
        return self._end

    def is_in_rounds(self, ask: SamplerRequest) -> bool:
        """Whether a token is sampled by the two rounds: no penalty, bias, constraint or filter
        applies.
        """
        sampling = ask.sampling
        return (
            ask.sample
            and ask.allowed_V is None
            and not sampling.adjusts_logits
            and not is_filtered(sampling, self._all.vocabulary)
        )

    def suppressed_in(self, begin: int, end: int) -> list[int]:
        """Indices, within a range of ids, of suppressed tokens."""
        return [token - begin for token in self._suppressed if begin <= token < end]

    def sample_from_all(self, logprobs_V: FloatArray, ask: SamplerRequest) -> int:
        """A token sampled from all words, with filters, penalties, bias and constraint."""
        return self._all.sample_one(logprobs_V, ask)


class _Row:
    """The state of one row: the tails that it needs after the head, then its result."""

    def __init__(self, ask: SamplerRequest, head_J: FloatArray, sampler: AdaptiveSampler) -> None:
        self._ask = ask
        self._head_J = head_J
        self._sampler = sampler
        self._inverse = 1.0 / float(divisor(ask.sampling.temperature))
        self._in_rounds = sampler.is_in_rounds(ask)
        self._wants_all = (
            ask.distribution
            or ask.sampling.top_logprobs > 0
            or (ask.sample and not self._in_rounds)
        )
        self._first_entry = sampler.listed + 1
        self._scores_J = self._scores() if self._in_rounds else np.empty(0)
        self.inside: dict[int, FloatArray] = {}
        self.needed = self._needed()

    def answer(self) -> SamplerResult:
        """The result, once ``inside`` has every tail of ``needed``."""
        ask = self._ask
        logprobs_V = self._logprobs() if self._wants_all else None
        token = self._settle() if self._in_rounds else None
        if logprobs_V is not None:
            if ask.sample and token is None:
                token = self._sampler.sample_from_all(logprobs_V, ask)
            return report(logprobs_V, 0.0, ask, token)
        scored, generated = (
            None if token_id is None else Scored(token_id, self._logprob(token_id))
            for token_id in (ask.score, token)
        )
        return SamplerResult(scored, None, generated)

    def _needed(self) -> set[int]:
        tails = range(len(self._sampler.tails))
        if self._wants_all:
            return set(tails)
        needed = {tail for tail in tails if self._holds(tail, self._ask.score)}
        if self._in_rounds:
            word = self._best_word()
            needed |= {tail for tail in tails if self._is_ahead(self._bound(tail), word)}
        return needed

    def _scores(self) -> Scores:
        """Scores of the head's entries; for tails they are bounds."""
        scaled_J = self._head_J.astype(np.float64) * self._inverse
        for index, (begin, end) in enumerate(self._sampler.tails, start=self._first_entry):
            if not self._greedy and self._inverse < 1.0:
                scaled_J[index] += (1.0 - self._inverse) * np.log(end - begin)
        return scaled_J - self._noise(0, len(scaled_J))

    def _bound(self, tail: int) -> tuple[float, int]:
        return float(self._scores_J[self._first_entry + tail]), self._sampler.tails[tail][0]

    def _best_word(self) -> tuple[float, int]:
        """Score and id of the best of the head's words that may be sampled."""
        words = self._scores_J[: self._first_entry].copy()
        words[self._sampler.suppressed_in(0, self._sampler.listed)] = -np.inf
        if self._sampler.suppressed_in(self._sampler.end, self._sampler.end + 1):
            words[-1] = -np.inf
        index = int(words.argmax())
        return float(words[index]), self._sampler.end if index == len(words) - 1 else index

    @staticmethod
    def _is_ahead(one: tuple[float, int], other: tuple[float, int]) -> bool:
        return one[0] > other[0] or (one[0] == other[0] and one[1] < other[1])

    def _settle(self) -> int:
        """The token that wins the two rounds."""
        best, winner = self._best_word(), None
        for tail in range(len(self._sampler.tails)):
            bound = self._bound(tail)
            if not self._is_ahead(bound, best):
                continue
            arrival = min(bound[0], self._arrival(tail, bound[0])), bound[1]
            if self._is_ahead(arrival, best):
                best, winner = arrival, tail
        if winner is None:
            return best[1]
        begin, _ = self._sampler.tails[winner]
        scaled_K = self._allowed(winner).astype(np.float64) * self._inverse
        first = begin + 1 + len(self._sampler.tails)
        return begin + int((scaled_K - self._noise(first, len(scaled_K))).argmax())

    def _allowed(self, tail: int) -> FloatArray:
        """The log-probabilities inside a tail, with suppressed words at minus infinity."""
        inside_K = self.inside[tail].copy()
        inside_K[self._sampler.suppressed_in(*self._sampler.tails[tail])] = -np.inf
        return inside_K

    def _arrival(self, tail: int, bound: float) -> float:
        """The score of a tail: the best that one of its words that may be sampled can reach."""
        if self._inverse == 1.0 and not self._sampler.suppressed_in(*self._sampler.tails[tail]):
            return bound
        allowed_K = self._allowed(tail).astype(np.float64)
        highest = float(allowed_K.max())
        if highest == -np.inf:
            return -np.inf
        index = self._first_entry + tail
        score = (float(self._head_J[index]) + highest) * self._inverse
        if self._greedy:
            return score
        mass = np.exp((allowed_K - highest) * self._inverse).sum()
        return float(score + np.log(mass) - self._noise(index, 1)[0])

    @property
    def _greedy(self) -> bool:
        return self._ask.sampling.temperature <= 0

    def _noise(self, first: int, count: int) -> Scores:
        """Log E of ``count`` entries or words, from ``first`` on."""
        if self._greedy:
            return np.zeros(count)
        indices = np.arange(first, first + count, dtype=np.uint32)
        noise: Scores = np.log(exponentials(uniforms(random_keys([self._ask]), indices)[0]))
        return noise

    def _holds(self, tail: int, token: int | None) -> bool:
        begin, end = self._sampler.tails[tail]
        return token is not None and begin <= token < end

    def _logprob(self, token: int) -> float:
        for tail, (begin, _) in enumerate(self._sampler.tails):
            if self._holds(tail, token):
                return float(self._entry(tail) + self.inside[tail][token - begin])
        return float(self._head_J[self._sampler.listed if token == self._sampler.end else token])

    def _entry(self, tail: int) -> np.float32:
        return np.float32(self._head_J[self._first_entry + tail])

    def _logprobs(self) -> FloatArray:
        """The log-probabilities of all words."""
        listed = self._sampler.listed
        tails = [self._entry(tail) + inside_K for tail, inside_K in sorted(self.inside.items())]
        return np.concatenate([self._head_J[:listed], *tails, self._head_J[listed : listed + 1]])


def _log_softmax(logits_RN: FloatArray) -> FloatArray:
    shifted_RN = logits_RN - highest(logits_RN)
    logprobs_RN: FloatArray = shifted_RN - np.log(np.exp(shifted_RN).sum(axis=1, keepdims=True))
    return logprobs_RN

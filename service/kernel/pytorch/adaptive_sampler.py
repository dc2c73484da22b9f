"""Draws and scores tokens of an adaptive softmax (Grave et al., 2017), asking for no tail in vain.

p(word) = p(tail) p(word | tail), and the head alone tells what any word of a tail can reach.
Without penalty and filters a draw is a race in two rounds (see
:mod:`service.kernel.pytorch.sampler`): in the first, the head's words race against the tails; a
tail that wins holds a race of its words, with other random numbers. At temperature 1 a tail arrives
as its entry in the head says. At others the sum of its words' weights decides, which is at most the
entry's weight, times words^(1 - 1 / temperature) above 1: its arrival with that weight is a bound,
and the sum is worked out only if the bound beats the words. Greedy is the same with the largest
weight in the place of the sum, and no random numbers. Filters and the penalty work on the
log-probabilities of all words.

Random numbers count the head's entries from 0, then the words of the tails. Scores are
log-probability / temperature - log E, in float64; the highest wins, the lower id on a tie. Knows no
network.

Shape suffixes: R rows, J entries of the head, K words of a tail, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from service.kernel.api.filters import is_filtered
from service.kernel.api.interface import Scored
from service.kernel.api.validation import check_never_drawn
from service.kernel.pytorch.counter_rng import uniforms
from service.kernel.pytorch.sampler import (
    Answer,
    Ask,
    FloatArray,
    Sampler,
    divisor,
    draw_keys,
    exponentials,
    highest,
    report,
)

Scores = NDArray[np.float64]
TailLogits = Callable[[int, Sequence[int]], FloatArray]
"""Logits (rows, words) of a tail for some of the rows."""


class AdaptiveSampler:
    """Answers for rows of a head's logits, and those tails that are needed.

    ``tails``: the first id and the one after the last of each; after them comes [END] alone.
    """

    def __init__(self, tails: Sequence[tuple[int, int]], never_drawn: Collection[int]) -> None:
        self._tails = tails
        self._listed = tails[0][0]
        self._end = tails[-1][1]
        vocabulary = self._end + 1
        check_never_drawn(never_drawn, vocabulary)
        self._never_drawn = sorted(set(never_drawn))
        self._all = Sampler(vocabulary, never_drawn)

    def answer(
        self, head_RJ: FloatArray, tail_logits: TailLogits, asks: Sequence[Ask]
    ) -> list[Answer]:
        """One answer for each row. Raises FloatingPointError on logits that are not finite."""
        rows = [
            _Row(ask, head_J, self) for ask, head_J in zip(asks, _log_softmax(head_RJ), strict=True)
        ]
        for tail in range(len(self._tails)):
            needing = [place for place, row in enumerate(rows) if tail in row.needed]
            if needing:
                logprobs = _log_softmax(tail_logits(tail, needing))
                for place, inside_K in zip(needing, logprobs, strict=True):
                    rows[place].inside[tail] = inside_K
        return [row.answer() for row in rows]

    @property
    def tails(self) -> Sequence[tuple[int, int]]:
        """The first id and the one after the last of each."""
        return self._tails

    @property
    def listed(self) -> int:
        """How many words the head has, [END] apart: it stands after them."""
        return self._listed

    @property
    def end(self) -> int:
        """The id of [END]."""
        return self._end

    def is_in_rounds(self, ask: Ask) -> bool:
        """Whether a token is drawn in rounds: nothing but the temperature changes the odds."""
        sampling = ask.sampling
        return (
            ask.draw
            and sampling.repetition_penalty == 1.0
            and not is_filtered(sampling, self._all.vocabulary)
        )

    def never_drawn_in(self, begin: int, end: int) -> list[int]:
        """Places in a stretch of ids of those that must not be drawn."""
        return [token - begin for token in self._never_drawn if begin <= token < end]

    def draw_from_all(self, logprobs_V: FloatArray, ask: Ask) -> int:
        """A token by filters and penalty."""
        return self._all.draw_one(logprobs_V, ask)


class _Row:
    """One row on its way: after the head it says which tails it needs, then it answers."""

    def __init__(self, ask: Ask, head_J: FloatArray, sampler: AdaptiveSampler) -> None:
        self._ask = ask
        self._head_J = head_J
        self._sampler = sampler
        self._inverse = 1.0 / float(divisor(ask.sampling.temperature))
        self._in_rounds = sampler.is_in_rounds(ask)
        self._wants_all = (
            ask.distribution or ask.sampling.top_logprobs > 0 or (ask.draw and not self._in_rounds)
        )
        self._first_entry = sampler.listed + 1
        self._scores_J = self._scores() if self._in_rounds else np.empty(0)
        self.inside: dict[int, FloatArray] = {}
        self.needed = self._needed()

    def answer(self) -> Answer:
        """When ``inside`` has what is needed."""
        ask = self._ask
        logprobs_V = self._logprobs() if self._wants_all else None
        token = self._settle() if self._in_rounds else None
        if logprobs_V is not None:
            if ask.draw and token is None:
                token = self._sampler.draw_from_all(logprobs_V, ask)
            return report(logprobs_V, 0.0, ask, token)
        scored, drawn = (
            None if one is None else Scored(one, self._logprob(one)) for one in (ask.score, token)
        )
        return Answer(scored, None, drawn)

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
        """Of the head's entries; for tails it is the bound."""
        scaled_J = self._head_J.astype(np.float64) * self._inverse
        for place, (begin, end) in enumerate(self._sampler.tails, start=self._first_entry):
            if not self._greedy and self._inverse < 1.0:
                scaled_J[place] += (1.0 - self._inverse) * np.log(end - begin)
        return scaled_J - self._noise(0, len(scaled_J))

    def _bound(self, tail: int) -> tuple[float, int]:
        return float(self._scores_J[self._first_entry + tail]), self._sampler.tails[tail][0]

    def _best_word(self) -> tuple[float, int]:
        """Score and id of the first of the head's words that may be drawn."""
        words = self._scores_J[: self._first_entry].copy()
        words[self._sampler.never_drawn_in(0, self._sampler.listed)] = -np.inf
        if self._sampler.never_drawn_in(self._sampler.end, self._sampler.end + 1):
            words[-1] = -np.inf
        place = int(words.argmax())
        return float(words[place]), self._sampler.end if place == len(words) - 1 else place

    @staticmethod
    def _is_ahead(one: tuple[float, int], other: tuple[float, int]) -> bool:
        return one[0] > other[0] or (one[0] == other[0] and one[1] < other[1])

    def _settle(self) -> int:
        """The token that is drawn in rounds."""
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
        """The log-probabilities inside a tail, without the words that must not be drawn."""
        inside_K = self.inside[tail].copy()
        inside_K[self._sampler.never_drawn_in(*self._sampler.tails[tail])] = -np.inf
        return inside_K

    def _arrival(self, tail: int, bound: float) -> float:
        """The score of the first of a tail's words that may be drawn."""
        if self._inverse == 1.0 and not self._sampler.never_drawn_in(*self._sampler.tails[tail]):
            return bound
        allowed_K = self._allowed(tail).astype(np.float64)
        highest = float(allowed_K.max())
        if highest == -np.inf:
            return -np.inf
        place = self._first_entry + tail
        score = (float(self._head_J[place]) + highest) * self._inverse
        if self._greedy:
            return score
        mass = np.exp((allowed_K - highest) * self._inverse).sum()
        return float(score + np.log(mass) - self._noise(place, 1)[0])

    @property
    def _greedy(self) -> bool:
        return self._ask.sampling.temperature <= 0

    def _noise(self, first: int, count: int) -> Scores:
        """The log E of so many entries or words."""
        if self._greedy:
            return np.zeros(count)
        places = np.arange(first, first + count, dtype=np.uint32)
        noise: Scores = np.log(exponentials(uniforms(draw_keys([self._ask]), places)[0]))
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
        """Of all words."""
        listed = self._sampler.listed
        tails = [self._entry(tail) + inside_K for tail, inside_K in sorted(self.inside.items())]
        return np.concatenate([self._head_J[:listed], *tails, self._head_J[listed : listed + 1]])


def _log_softmax(logits_RN: FloatArray) -> FloatArray:
    shifted_RN = logits_RN - highest(logits_RN)
    found: FloatArray = shifted_RN - np.log(np.exp(shifted_RN).sum(axis=1, keepdims=True))
    return found

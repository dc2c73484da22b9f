"""Draws and scores tokens from logits, many rows at once.

A draw is an exponential race (the Gumbel-max trick without the logarithm of a logarithm): each
allowed token v gets an arrival time E_v / p_v with E_v = -log(1 - w_v) from the counter hash of
:mod:`service.kernel.pytorch.counter_rng`, and the earliest wins, which happens with probability
p_v. A difference in the last bit of a logit changes the winner only where two times meet, which
an inverted cumulative sum cannot promise. Since E_v is never below w_v, only tokens whose
w_v / p_v is not beyond the time of the best one so far can win, and logarithms are taken of
those few alone. Knows no network and no sequences.

Shape suffixes: R rows, V vocabulary, N candidates.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.kernel.api.filters import descending, is_filtered, penalise, surviving
from service.kernel.api.interface import Sampling, Scored
from service.kernel.api.validation import check_never_drawn
from service.kernel.pytorch.counter_rng import (
    GOLDEN_32,
    SMALLEST,
    fill_uniforms,
    keys,
    uniforms,
)

FloatArray = NDArray[np.float32]
LARGEST_LOGIT = 1e30  # as native/csrc/draw.h: differences of those inside stay finite
COLDEST = 1e-6  # temperatures between 0 and this would be 0 in float32
NEARLY = 1.0 + 1e-6  # room for the rounding of bounds to float32
BLOCK = 2**17  # numbers worked on at once: four such buffers stay in a core's cache


class Ask(NamedTuple):
    """What is wanted of one row of logits: tokens to score, the distribution, a draw, or several.

    ``score``: the token whose log-probability is wanted. ``draw``: whether to draw.
    """

    sampling: Sampling
    position: int = 0
    seen: Collection[int] = ()
    score: int | None = None
    distribution: bool = False
    draw: bool = False


class Answer(NamedTuple):
    """The parts that were asked for."""

    scored: Scored | None
    logprobs_V: FloatArray | None
    drawn: Scored | None


class Sampler:
    """Answers for rows of logits over one vocabulary. Not for use from two threads at once."""

    def __init__(self, vocabulary: int, never_drawn: Collection[int]) -> None:
        check_never_drawn(never_drawn, vocabulary)
        self.vocabulary = vocabulary
        self._never_drawn = np.array(sorted(never_drawn), dtype=np.int64)
        self._rows = max(1, BLOCK // vocabulary)
        self._spread_V = np.arange(vocabulary, dtype=np.uint32) * GOLDEN_32
        shape = (self._rows, vocabulary)
        self._shifted_RV = np.empty(shape, dtype=np.float32)
        self._weights_RV = np.empty(shape, dtype=np.float32)
        self._uniform_RV = np.empty(shape, dtype=np.float32)
        self._bound_RV = np.empty(shape, dtype=np.float32)
        self._hash_RV = np.empty(shape, dtype=np.uint32)
        self._scratch_RV = np.empty(shape, dtype=np.uint32)

    def answer(self, logits_RV: FloatArray, asks: Sequence[Ask]) -> list[Answer]:
        """One answer for each row. Raises FloatingPointError on logits that are not finite."""
        answers: list[Answer] = []
        for begin in range(0, len(asks), self._rows):
            block = slice(begin, begin + self._rows)
            answers += self._answer_block(logits_RV[block], asks[block])
        return answers

    def _answer_block(self, logits_RV: FloatArray, asks: Sequence[Ask]) -> list[Answer]:
        rows = len(asks)
        shifted_RV, weights_RV = self._shifted_RV[:rows], self._weights_RV[:rows]
        highest_R1 = highest(logits_RV[:rows])
        np.subtract(logits_RV[:rows], highest_R1, out=shifted_RV)
        np.exp(shifted_RV, out=weights_RV)
        log_total_R = np.log(weights_RV.sum(axis=1))
        tokens = self._draw(logits_RV, asks)
        return [
            report(shifted_RV[row], float(log_total_R[row]), asks[row], tokens.get(row))
            for row in range(rows)
        ]

    def _draw(self, logits_RV: FloatArray, asks: Sequence[Ask]) -> dict[int, int]:
        """Drawn token by row, for the rows that draw; overwrites the block's weights."""
        plain: list[int] = []
        others: list[int] = []
        for row, ask in enumerate(asks):
            if ask.draw:
                (plain if self._is_plain(ask.sampling) else others).append(row)
        tokens = {row: self.draw_one(logits_RV[row], asks[row]) for row in others}
        return tokens | (self._race(plain, logits_RV, asks) if plain else {})

    def _is_plain(self, sampling: Sampling) -> bool:
        """Whether every token takes part with its own probability, temperature apart."""
        return (
            sampling.temperature > 0
            and sampling.repetition_penalty == 1.0
            and not is_filtered(sampling, self.vocabulary)
        )

    def _race(self, rows: list[int], logits_RV: FloatArray, asks: Sequence[Ask]) -> dict[int, int]:
        """Draws for plain rows, all of the vocabulary at once."""
        count = len(rows)
        weights_RV = self._weights_RV
        for row in rows:
            temperature = asks[row].sampling.temperature
            if temperature != 1.0:
                np.divide(self._shifted_RV[row], divisor(temperature), out=weights_RV[row])
                np.exp(weights_RV[row], out=weights_RV[row])
            weights_RV[row, self._never_drawn] = 0.0
        uniform_RV = self._uniform_RV[:count]
        fill_uniforms(
            draw_keys([asks[row] for row in rows]),
            self._spread_V,
            self._hash_RV[:count],
            self._scratch_RV[:count],
            uniform_RV,
        )
        raced_RV = weights_RV[:count] if rows[-1] == count - 1 else weights_RV[rows]
        winners = _winners(uniform_RV, raced_RV, self._bound_RV[:count])
        tokens = dict(zip(rows, winners, strict=True))
        for row, token in tokens.items():
            if weights_RV[row, token] == 0.0:  # all that may be drawn is too unlikely for float32
                tokens[row] = self.draw_one(logits_RV[row], asks[row])
        return tokens

    def draw_one(self, logits_V: FloatArray, ask: Ask) -> int:
        """Draws for a row that is greedy, penalised or filtered."""
        sampling = ask.sampling
        changed_V = logits_V.copy()
        if sampling.repetition_penalty != 1.0 and ask.seen:
            penalise(changed_V, ask.seen, sampling.repetition_penalty)
        changed_V[self._never_drawn] = -np.inf
        best = int(changed_V.argmax())
        if not np.isfinite(changed_V[best]):
            raise FloatingPointError("the repetition penalty gave logits that are not finite")
        if sampling.temperature <= 0:
            return best
        changed_V -= changed_V[best]
        changed_V /= divisor(sampling.temperature)
        weights_V = np.exp(changed_V, out=changed_V)
        ids_N = surviving(weights_V, sampling)
        uniform_1N = uniforms(draw_keys([ask]), ids_N.astype(np.uint32))
        return int(ids_N[_winners(uniform_1N, weights_V[None, ids_N])[0]])


def highest(logits_RN: FloatArray) -> FloatArray:
    """The largest of each row (R, 1). Raises FloatingPointError on logits beyond LARGEST_LOGIT."""
    highest_R1: FloatArray = logits_RN.max(axis=1, keepdims=True)
    if not (highest_R1.max() <= LARGEST_LOGIT and logits_RN.min() >= -LARGEST_LOGIT):
        raise FloatingPointError("the network gave logits that are not finite numbers")
    return highest_R1


def divisor(temperature: float) -> np.float32:
    """What logits are divided by; 0 is taken for the coldest there is."""
    return np.float32(max(temperature, COLDEST))


def draw_keys(asks: Sequence[Ask]) -> NDArray[np.uint64]:
    """Of the random numbers of each row."""
    return keys(
        [ask.sampling.seed for ask in asks],
        [ask.sampling.choice for ask in asks],
        [ask.position for ask in asks],
    )


def _winners(
    uniform_RN: FloatArray, weights_RN: FloatArray, bound_RN: FloatArray | None = None
) -> list[int]:
    """The place in each row that arrives first; the lower one on a tie. Fills bound_RN."""
    with np.errstate(divide="ignore", over="ignore"):
        bound_RN = np.divide(uniform_RN, weights_RN, out=bound_RN)
    leaders_R = bound_RN.argmin(axis=1)
    leading = (np.arange(len(leaders_R)), leaders_R)
    arrivals_R = _arrivals(uniform_RN[leading], weights_RN[leading])
    bound_RN[leading] = np.inf
    winners: list[int] = leaders_R.tolist()
    for row in np.flatnonzero(bound_RN.min(axis=1) <= arrivals_R * NEARLY):
        bound_RN[row, winners[row]] = 0.0
        winners[row] = _winner(uniform_RN[row], weights_RN[row], bound_RN[row], arrivals_R[row])
    return winners


def _winner(uniform_N: FloatArray, weights_N: FloatArray, bound_N: FloatArray, limit: float) -> int:
    """The earliest of those whose lower bound is not beyond the leader's time."""
    places_K = np.flatnonzero(bound_N <= limit * NEARLY)
    return int(places_K[_arrivals(uniform_N[places_K], weights_N[places_K]).argmin()])


def exponentials(uniform_K: FloatArray) -> NDArray[np.float64]:
    """E, in float64; w = 1 stands for the largest value below it."""
    waits_K: NDArray[np.float64] = -np.log1p(
        -np.minimum(uniform_K.astype(np.float64), 1.0 - SMALLEST)
    )
    return waits_K


def _arrivals(uniform_K: FloatArray, weights_K: FloatArray) -> NDArray[np.float64]:
    """E / p."""
    with np.errstate(divide="ignore"):
        return exponentials(uniform_K) / weights_K


def report(shifted_V: FloatArray, log_total: float, ask: Ask, token: int | None) -> Answer:
    """What was asked for, from logits and the logarithm of the sum of their exponentials."""
    top: tuple[tuple[int, float], ...] = ()
    if ask.sampling.top_logprobs > 0:
        best = descending(shifted_V, min(ask.sampling.top_logprobs, len(shifted_V)))
        top = tuple((int(other), float(shifted_V[other]) - log_total) for other in best)
    scored, drawn = (
        None if one is None else Scored(one, float(shifted_V[one]) - log_total, top)
        for one in (ask.score, token)
    )
    logprobs_V = shifted_V - np.float32(log_total) if ask.distribution else None
    return Answer(scored, logprobs_V, drawn)

"""Sampling and scoring of tokens from logits, many rows at once.

Sampling is an exponential race (the Gumbel-max trick without the logarithm of a logarithm). Each
allowed token v gets an arrival time E_v / p_v with E_v = -log(1 - w_v), where w_v comes from
:mod:`service.kernel.pytorch.counter_rng`. The earliest token wins, which happens with probability
p_v. A difference in the last bit of a logit changes the winner only if two times are equal, which
an inverted cumulative sum does not guarantee. Since E_v is at least w_v, only tokens whose w_v /
p_v is not above the best time so far can win, and logarithms are computed for these few alone.

Shape suffixes: R rows, V vocabulary, N candidates.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.kernel.api.filters import adjust, descending, is_filtered, restrict, surviving_ids
from service.kernel.api.interface import FloatArray, Sampling, Scored
from service.kernel.api.token_automaton import BoolArray
from service.kernel.api.validation import check_suppressed
from service.kernel.pytorch.counter_rng import (
    GOLDEN_32,
    SMALLEST_UNIFORM,
    fill_uniforms,
    keys,
    uniforms,
)

LARGEST_LOGIT = 1e30  # as in native/csrc/sampling.h: differences of smaller logits stay finite
MIN_TEMPERATURE = 1e-6  # smaller positive temperatures would become 0 in float32
BOUND_MARGIN = 1.0 + 1e-6  # allows for the rounding of bounds to float32
BLOCK_VALUES = 2**17  # values per block: four such buffers fit into a core's cache


class SamplerRequest(NamedTuple):
    """The values to compute from one row of logits: a score, the distribution, a sampled token,
    or several.

    ``score``: the token whose log-probability is computed. ``sample``: whether to sample a token.
    ``allowed_V``: the tokens that a constraint allows.
    """

    sampling: Sampling
    position: int = 0
    seen: Collection[int] = ()
    score: int | None = None
    distribution: bool = False
    sample: bool = False
    counts: Mapping[int, int] = {}
    allowed_V: BoolArray | None = None


class SamplerResult(NamedTuple):
    """The values of a :class:`SamplerRequest`; None for those not requested."""

    scored: Scored | None
    logprobs_V: FloatArray | None
    generated: Scored | None


class Sampler:
    """Samples and scores over one vocabulary. Not thread-safe."""

    def __init__(self, vocabulary: int, suppressed: Collection[int]) -> None:
        check_suppressed(suppressed, vocabulary)
        self.vocabulary = vocabulary
        self._suppressed = np.array(sorted(suppressed), dtype=np.int64)
        self._rows = max(1, BLOCK_VALUES // vocabulary)
        self._spread_V = np.arange(vocabulary, dtype=np.uint32) * GOLDEN_32
        shape = (self._rows, vocabulary)
        self._shifted_RV = np.empty(shape, dtype=np.float32)
        self._weights_RV = np.empty(shape, dtype=np.float32)
        self._uniform_RV = np.empty(shape, dtype=np.float32)
        self._bound_RV = np.empty(shape, dtype=np.float32)
        self._hash_RV = np.empty(shape, dtype=np.uint32)
        self._scratch_RV = np.empty(shape, dtype=np.uint32)

    def answer(self, logits_RV: FloatArray, asks: Sequence[SamplerRequest]) -> list[SamplerResult]:
        """One result for each row. Raises FloatingPointError on logits that are not finite."""
        answers: list[SamplerResult] = []
        for begin in range(0, len(asks), self._rows):
            block = slice(begin, begin + self._rows)
            answers += self._answer_block(logits_RV[block], asks[block])
        return answers

    def _answer_block(
        self, logits_RV: FloatArray, asks: Sequence[SamplerRequest]
    ) -> list[SamplerResult]:
        rows = len(asks)
        shifted_RV, weights_RV = self._shifted_RV[:rows], self._weights_RV[:rows]
        highest_R1 = highest(logits_RV[:rows])
        np.subtract(logits_RV[:rows], highest_R1, out=shifted_RV)
        np.exp(shifted_RV, out=weights_RV)
        log_total_R = np.log(weights_RV.sum(axis=1))
        tokens = self._sample(logits_RV, asks)
        return [
            report(shifted_RV[row], float(log_total_R[row]), asks[row], tokens.get(row))
            for row in range(rows)
        ]

    def _sample(self, logits_RV: FloatArray, asks: Sequence[SamplerRequest]) -> dict[int, int]:
        """Sampled token by row, for the rows that sample. Overwrites the block's weights."""
        plain: list[int] = []
        others: list[int] = []
        for row, ask in enumerate(asks):
            if ask.sample:
                (plain if self._is_plain(ask) else others).append(row)
        tokens = {row: self.sample_one(logits_RV[row], asks[row]) for row in others}
        return tokens | (self._race(plain, logits_RV, asks) if plain else {})

    def _is_plain(self, ask: SamplerRequest) -> bool:
        """Whether every token takes part with its own probability, apart from the temperature."""
        sampling = ask.sampling
        return (
            sampling.temperature > 0
            and ask.allowed_V is None
            and not sampling.adjusts_logits
            and not is_filtered(sampling, self.vocabulary)
        )

    def _race(
        self, rows: list[int], logits_RV: FloatArray, asks: Sequence[SamplerRequest]
    ) -> dict[int, int]:
        """Sample for plain rows, over the whole vocabulary at once."""
        count = len(rows)
        weights_RV = self._weights_RV
        for row in rows:
            temperature = asks[row].sampling.temperature
            if temperature != 1.0:
                np.divide(self._shifted_RV[row], divisor(temperature), out=weights_RV[row])
                np.exp(weights_RV[row], out=weights_RV[row])
            weights_RV[row, self._suppressed] = 0.0
        uniform_RV = self._uniform_RV[:count]
        fill_uniforms(
            random_keys([asks[row] for row in rows]),
            self._spread_V,
            self._hash_RV[:count],
            self._scratch_RV[:count],
            uniform_RV,
        )
        raced_RV = weights_RV[:count] if rows[-1] == count - 1 else weights_RV[rows]
        winners = _winners(uniform_RV, raced_RV, self._bound_RV[:count])
        tokens = dict(zip(rows, winners, strict=True))
        for row, token in tokens.items():
            if weights_RV[row, token] == 0.0:  # every allowed token underflows
                tokens[row] = self.sample_one(logits_RV[row], asks[row])
        return tokens

    def sample_one(self, logits_V: FloatArray, ask: SamplerRequest) -> int:
        """Sample for a row that is greedy, adjusted, constrained or filtered."""
        sampling = ask.sampling
        changed_V = logits_V.copy()
        adjust(changed_V, sampling, ask.seen, ask.counts)
        changed_V[self._suppressed] = -np.inf
        if ask.allowed_V is not None:
            restrict(changed_V, ask.allowed_V)
        best = int(changed_V.argmax())
        if not np.isfinite(changed_V[best]):
            raise FloatingPointError("the penalties gave logits that are not finite")
        if sampling.temperature <= 0:
            return best
        changed_V -= changed_V[best]
        changed_V /= divisor(sampling.temperature)
        weights_V = np.exp(changed_V, out=changed_V)
        ids_N = surviving_ids(weights_V, sampling)
        uniform_1N = uniforms(random_keys([ask]), ids_N.astype(np.uint32))
        return int(ids_N[_winners(uniform_1N, weights_V[None, ids_N])[0]])


def highest(logits_RN: FloatArray) -> FloatArray:
    """The largest logit of each row (R, 1). Raises FloatingPointError on logits beyond
    LARGEST_LOGIT.
    """
    highest_R1: FloatArray = logits_RN.max(axis=1, keepdims=True)
    if not (highest_R1.max() <= LARGEST_LOGIT and logits_RN.min() >= -LARGEST_LOGIT):
        raise FloatingPointError("the network gave logits that are not finite numbers")
    return highest_R1


def divisor(temperature: float) -> np.float32:
    """The divisor of logits at this temperature; 0 is replaced by the smallest allowed one."""
    return np.float32(max(temperature, MIN_TEMPERATURE))


def random_keys(asks: Sequence[SamplerRequest]) -> NDArray[np.uint64]:
    """The keys of the random numbers of each row."""
    return keys(
        [ask.sampling.seed for ask in asks],
        [ask.sampling.choice_index for ask in asks],
        [ask.position for ask in asks],
    )


def _winners(
    uniform_RN: FloatArray, weights_RN: FloatArray, bound_RN: FloatArray | None = None
) -> list[int]:
    """The index in each row that arrives first; the lower one on a tie. Fills ``bound_RN``."""
    with np.errstate(divide="ignore", over="ignore"):
        bound_RN = np.divide(uniform_RN, weights_RN, out=bound_RN)
    leaders_R = bound_RN.argmin(axis=1)
    leading = (np.arange(len(leaders_R)), leaders_R)
    arrivals_R = _arrivals(uniform_RN[leading], weights_RN[leading])
    bound_RN[leading] = np.inf
    winners: list[int] = leaders_R.tolist()
    for row in np.flatnonzero(bound_RN.min(axis=1) <= arrivals_R * BOUND_MARGIN):
        bound_RN[row, winners[row]] = 0.0
        winners[row] = _winner(uniform_RN[row], weights_RN[row], bound_RN[row], arrivals_R[row])
    return winners


def _winner(uniform_N: FloatArray, weights_N: FloatArray, bound_N: FloatArray, limit: float) -> int:
    """The earliest of the tokens whose lower bound is at most ``limit``."""
    indices_K = np.flatnonzero(bound_N <= limit * BOUND_MARGIN)
    return int(indices_K[_arrivals(uniform_N[indices_K], weights_N[indices_K]).argmin()])


def exponentials(uniform_K: FloatArray) -> NDArray[np.float64]:
    """E in float64; w = 1 is replaced by the largest value below it."""
    waits_K: NDArray[np.float64] = -np.log1p(
        -np.minimum(uniform_K.astype(np.float64), 1.0 - SMALLEST_UNIFORM)
    )
    return waits_K


def _arrivals(uniform_K: FloatArray, weights_K: FloatArray) -> NDArray[np.float64]:
    """E / p."""
    with np.errstate(divide="ignore"):
        return exponentials(uniform_K) / weights_K


def report(
    shifted_V: FloatArray, log_total: float, ask: SamplerRequest, token: int | None
) -> SamplerResult:
    """A result from logits less their maximum and the logarithm of the sum of exponentials."""
    top: tuple[tuple[int, float], ...] = ()
    if ask.sampling.top_logprobs > 0:
        best = descending(shifted_V, min(ask.sampling.top_logprobs, len(shifted_V)))
        top = tuple((int(other), float(shifted_V[other]) - log_total) for other in best)
    scored, generated = (
        None if token_id is None else Scored(token_id, float(shifted_V[token_id]) - log_total, top)
        for token_id in (ask.score, token)
    )
    logprobs_V = shifted_V - np.float32(log_total) if ask.distribution else None
    return SamplerResult(scored, logprobs_V, generated)

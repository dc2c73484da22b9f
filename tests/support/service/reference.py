"""A plain reference implementation: one sequence, one token at a time, with torch's own modules.

Sampling is implemented again from its documentation, in float64 and Python integers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from model.architecture import Cell, LanguageModelArchitecture
from model.networks import LanguageModel
from service.kernel.api.interface import Sampling

MASK_32, MASK_64 = 2**32 - 1, 2**64 - 1


def random_network(
    cell: Cell,
    layers: int,
    *,
    vocabulary: int = 30,
    embedding: int = 12,
    hidden: int = 20,
    projection: int | None = None,
    tied: bool = False,
    cutoffs: tuple[int, ...] = (),
    division: int | None = None,
    seed: int = 0,
    scale: float = 0.5,
) -> LanguageModel:
    """A network whose weights are large enough for predictions that differ from step to step."""
    torch.manual_seed(seed)
    network = LanguageModel(
        LanguageModelArchitecture(
            cell=cell,
            vocabulary=vocabulary,
            embedding=embedding,
            hidden=hidden,
            layers=layers,
            projection=projection,
            tied=tied,
            cutoffs=cutoffs,
            division=division,
        )
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return network.eval()


class NaiveReader:
    """Reads tokens one by one with nn.LSTM, nn.GRU or nn.RNN."""

    def __init__(self, network: LanguageModel, dtype: torch.dtype = torch.float32) -> None:
        self._network = network
        self._dtype = dtype
        first = network.initial_state(1)
        self._state: Tensor | tuple[Tensor, Tensor] = first.hidden_LBH.to(dtype)
        if first.cell_LBH is not None:
            self._state = (first.hidden_LBH.to(dtype), first.cell_LBH.to(dtype))

    @torch.no_grad()
    def read(self, token: int) -> Tensor:
        """Logits (V) after one more token."""
        embedded_11E = self._network.embedding(torch.tensor([[token]])).to(self._dtype)
        hidden_11H, self._state = self._network.recurrent(embedded_11E, self._state)
        return self._network.logits(hidden_11H)[0, 0]


def naive_generate(
    network: LanguageModel,
    prompt: Sequence[int],
    max_tokens: int,
    sampling: Sampling,
    *,
    end: int,
    suppressed: Sequence[int] = (),
) -> list[int]:
    """Token ids generated after [END] and the prompt, including a closing [END]."""
    reader = NaiveReader(network)
    cutoffs = network.architecture.cutoffs
    for token in [end, *prompt]:
        logits_V = reader.read(token)
    seen = set(prompt)
    generated: list[int] = []
    while len(generated) < max_tokens:
        logits = logits_V.double().tolist()
        position = len(generated)
        if cutoffs and is_in_rounds(sampling, len(logits)):
            token = naive_draw_in_rounds(logits, cutoffs, sampling, position, suppressed)
        else:
            counts = Counter(generated)
            token = naive_draw(logits, sampling, position, seen, suppressed, counts)
        generated.append(token)
        if generated[-1] == end:
            break
        seen.add(generated[-1])
        logits_V = reader.read(generated[-1])
    return generated


def naive_probabilities(
    logits: Sequence[float],
    sampling: Sampling,
    seen: set[int],
    suppressed: Sequence[int],
    counts: Mapping[int, int] | None = None,
) -> list[float]:
    """The distribution that is sampled from, temperature above 0."""
    changed = list(logits)
    for token in seen:
        penalty = sampling.repetition_penalty
        changed[token] = (
            changed[token] / penalty if changed[token] > 0 else changed[token] * penalty
        )
    for token, count in (counts or {}).items():
        changed[token] -= sampling.presence_penalty + count * sampling.frequency_penalty
    for token, bias in sampling.logit_bias:
        changed[token] += bias
    for token in suppressed:
        changed[token] = -math.inf
    highest = max(changed)
    weights = [math.exp((logit - highest) / sampling.temperature) for logit in changed]
    order = sorted(range(len(weights)), key=lambda token: (-weights[token], token))
    order = [token for token in order if weights[token] > 0]
    if sampling.top_k:
        order = order[: sampling.top_k]
    if sampling.top_p < 1:
        cumulated = np.cumsum([weights[token] for token in order])
        order = order[: int((cumulated < sampling.top_p * cumulated[-1]).sum()) + 1]
    order = [token for token in order if weights[token] >= sampling.min_p]
    total = sum(weights[token] for token in order)
    kept = set(order)
    return [weight / total if token in kept else 0.0 for token, weight in enumerate(weights)]


def naive_draw(
    logits: Sequence[float],
    sampling: Sampling,
    position: int,
    seen: set[int],
    suppressed: Sequence[int],
    counts: Mapping[int, int] | None = None,
) -> int:
    """One token: the earliest arrival, without any bound."""
    if sampling.temperature == 0:
        unit = replace(sampling, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
        probabilities = naive_probabilities(logits, unit, seen, suppressed, counts)
        return max(range(len(probabilities)), key=lambda token: (probabilities[token], -token))
    probabilities = naive_probabilities(logits, sampling, seen, suppressed, counts)
    key = naive_key(sampling.seed, sampling.choice_index, position)
    arrivals = [
        -math.log1p(-naive_uniform(key, token)) / p if p > 0 else math.inf
        for token, p in enumerate(probabilities)
    ]
    return min(range(len(arrivals)), key=lambda token: (arrivals[token], token))


def is_in_rounds(sampling: Sampling, vocabulary: int) -> bool:
    """Whether an adaptive softmax samples in two rounds: no penalty, bias or effective
    filter.
    """
    cuts = 0 < sampling.top_k < vocabulary
    filters = cuts or sampling.top_p < 1 or sampling.min_p > 0
    return not sampling.adjusts_logits and not filters


def naive_draw_in_rounds(
    logits: Sequence[float],
    cutoffs: Sequence[int],
    sampling: Sampling,
    position: int,
    suppressed: Sequence[int],
) -> int:
    """One token of an adaptive softmax: first a word of the head or a tail, then a word of the
    tail.
    """
    if sampling.temperature == 0:
        return naive_draw(logits, sampling, position, set(), suppressed)
    highest = max(logit for token, logit in enumerate(logits) if token not in suppressed)
    weights = [
        0.0 if token in suppressed else math.exp((logit - highest) / sampling.temperature)
        for token, logit in enumerate(logits)
    ]
    end = len(logits) - 1
    borders = [*cutoffs, end]
    tails = list(pairwise(borders))
    entries = [*weights[: cutoffs[0]], weights[end], *(sum(weights[a:b]) for a, b in tails)]
    place = _first_to_arrive(entries, sampling, position, 0)
    if place < cutoffs[0]:
        return place
    if place == cutoffs[0]:
        return end
    begin, after = tails[place - cutoffs[0] - 1]
    return begin + _first_to_arrive(
        weights[begin:after], sampling, position, begin + 1 + len(tails)
    )


def _first_to_arrive(
    weights: Sequence[float], sampling: Sampling, position: int, first: int
) -> int:
    key = naive_key(sampling.seed, sampling.choice_index, position)
    arrivals = [
        -math.log1p(-naive_uniform(key, first + place)) / weight if weight > 0 else math.inf
        for place, weight in enumerate(weights)
    ]
    return min(range(len(arrivals)), key=lambda place: (arrivals[place], place))


def naive_key(seed: int, choice: int, position: int) -> int:
    """The 64-bit key of one sampled token."""
    return _splitmix64(_splitmix64(_splitmix64(seed) ^ choice) ^ position)


def naive_uniform(key: int, token: int) -> float:
    """The number w of one token."""
    value = _mix(token * 0x9E3779B9 + (key & MASK_32) & MASK_32)
    value = _mix(value + (key >> 32) & MASK_32)
    uniform = np.float32(value) * np.float32(2.0**-32) + np.float32(2.0**-33)
    return min(float(uniform), 1.0 - 2.0**-33)


def _mix(value: int) -> int:
    value = (value ^ value >> 16) * 0x7FEB352D & MASK_32
    value = (value ^ value >> 15) * 0x846CA68B & MASK_32
    return value ^ value >> 16


def _splitmix64(value: int) -> int:
    value = value + 0x9E3779B97F4A7C15 & MASK_64
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK_64
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK_64
    return value ^ value >> 31

"""Sampling from an adaptive softmax in two rounds: exact, and the same in both kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import pytest
import torch

from model.architecture import LanguageModelArchitecture
from model.artifact import weights_of
from model.networks import LanguageModel
from service.kernel.api.interface import FloatArray, Kernel, RowWork, Sampling
from service.kernel.native.kernel import NativeKernel
from service.kernel.pytorch.adaptive_sampler import AdaptiveSampler
from service.kernel.pytorch.kernel import TorchKernel
from service.kernel.pytorch.sampler import SamplerRequest
from tests.support.service.chi_square import check_fit
from tests.support.service.reference import (
    is_in_rounds,
    naive_draw,
    naive_draw_in_rounds,
    naive_probabilities,
    random_network,
)

VOCABULARY = 40
END = VOCABULARY - 1
CUTOFFS = (8, 9, 20)
NEVER = (0, 12)
COUNTS = {2: 1, 10: 3, 33: 2}
ROWS = 250
ROUNDS = 32  # of all rows: so many draws are looked at together
OPTIONS = {
    "plain": Sampling(),
    "hot": Sampling(temperature=2.0),
    "cold": Sampling(temperature=0.5),
    "filters": Sampling(temperature=1.3, top_k=25, top_p=0.9, min_p=0.01),
    "penalty": Sampling(repetition_penalty=1.5),
    "presence": Sampling(presence_penalty=1.5),
    "frequency": Sampling(frequency_penalty=0.8, temperature=1.3),
    "bias": Sampling(logit_bias=((12, 100.0), (10, 2.0), (30, -100.0), (39, 1.0))),
}

KernelName = Literal["native", "torch"]
each_kernel = pytest.mark.parametrize("name", ["native", "torch"])


def make(name: KernelName, network: LanguageModel, rows: int = ROWS) -> Kernel:
    """A float32 kernel that suppresses a word of the head and one of a tail."""
    shared: dict[str, Any] = {"capacity": rows, "end": END, "suppressed": NEVER}
    if name == "torch":
        return TorchKernel(network, **shared)
    return NativeKernel(weights_of(network), **shared, precision="float32")


def constant_network() -> LanguageModel:
    """The same distribution after every token: weights are zero, biases are not."""
    network = LanguageModel(
        LanguageModelArchitecture(
            cell="elman",
            vocabulary=VOCABULARY,
            embedding=1,
            hidden=4,
            layers=1,
            cutoffs=CUTOFFS,
            division=2,
        )
    )
    generator = torch.Generator().manual_seed(4)
    for name, parameter in network.named_parameters():
        torch.nn.init.zeros_(parameter)
        if name.startswith("output") and name.endswith("bias"):
            parameter.data.normal_(std=1.5, generator=generator)
    return network


def drawn_at(kernel: Kernel, sampling: Sampling, first: int) -> list[int]:
    """One token in every row, at positions from ``first`` on."""
    work = [
        RowWork(
            row=row,
            feed=[1],
            sample=1,
            sampling=sampling,
            position=first + row,
            seen={3, 25},
            counts=COUNTS,
        )
        for row in range(ROWS)
    ]
    return [result.generated[0].token for result in kernel.run(work, 1)]


@pytest.mark.slow
@each_kernel
@pytest.mark.parametrize("option", OPTIONS)
def test_draws_follow_the_exact_distribution(name: KernelName, option: str) -> None:
    """A chi-square test sees no difference at any temperature, with suppressed words."""
    kernel, sampling = make(name, constant_network()), OPTIONS[option]
    (result,) = kernel.run([RowWork(row=0, feed=[1], distribution=True)], 1)
    assert result.logprobs_V is not None
    counts = np.zeros(VOCABULARY)
    for first in range(0, ROWS * ROUNDS, ROWS):
        counts += np.bincount(drawn_at(kernel, sampling, first), minlength=VOCABULARY)
    logits = result.logprobs_V.tolist()
    check_fit(counts, naive_probabilities(logits, sampling, {3, 25}, NEVER, COUNTS))


@pytest.mark.parametrize("temperature", [0.0, 1e-3, 0.3, 1.0, 1.7, 30.0])
@pytest.mark.parametrize("top_k", [0, 5])
def test_both_kernels_draw_the_naive_draw(temperature: float, top_k: int) -> None:
    """For sharp and flat distributions, tails that were skipped could not have won."""
    sampling = Sampling(temperature=temperature, top_k=top_k, seed=3)
    for scale in (0.3, 1.0):
        network = random_network(
            "gru", 1, vocabulary=VOCABULARY, cutoffs=CUTOFFS, division=2, scale=scale
        )
        sampled = {}
        for name in get_args(KernelName):
            kernel = make(name, network)
            work = [
                RowWork(row=row, feed=[row % VOCABULARY, row // VOCABULARY], position=row)
                for row in range(ROWS)
            ]
            for item in work:
                item.sample, item.sampling = 1, sampling
                kernel.open(item.row)
            sampled[name] = [result.generated[0].token for result in kernel.run(work, 2)]
            for item in work:
                kernel.open(item.row)
                item.sample, item.distribution = 0, True
            logprobs = [result.logprobs_V for result in kernel.run(work, 2)]
        expected = [
            naive(logprobs_V.tolist(), sampling, row)
            for row, logprobs_V in enumerate(logprobs)
            if logprobs_V is not None
        ]
        assert sampled["torch"] == expected
        assert sampled["native"] == expected


def naive(logprobs: Sequence[float], sampling: Sampling, position: int) -> int:
    """The oracle's token."""
    if is_in_rounds(sampling, VOCABULARY):
        return naive_draw_in_rounds(logprobs, CUTOFFS, sampling, position, NEVER)
    return naive_draw(logprobs, sampling, position, set(), NEVER)


@each_kernel
@pytest.mark.parametrize("temperature", [0.0, 0.6, 1.0, 1.7])
def test_logprobs_do_not_change_the_sample(name: KernelName, temperature: float) -> None:
    """Reports of likeliest tokens, which need all tails, do not change a bit."""
    network = random_network("lstm", 1, vocabulary=VOCABULARY, cutoffs=CUTOFFS, division=2)
    kernel = make(name, network, rows=1)
    reports = []
    for top in (0, 3):
        kernel.open(0)
        sampling = Sampling(temperature=temperature, seed=1, top_logprobs=top)
        work = RowWork(row=0, feed=[END, 5, 30, 12, 38], sample=40, sampling=sampling, score=True)
        work.distribution = top > 0
        (result,) = kernel.run([work], 45)
        reports.append([token[:2] for token in [*result.scored, *result.generated]])
        for token in result.generated if top else []:
            assert [logprob for _, logprob in token.top] == sorted(
                (logprob for _, logprob in token.top), reverse=True
            )
            assert len(token.top) == 3
    assert reports[0] == reports[1]
    assert len(reports[0]) > 4


def test_no_tail_is_computed_in_vain() -> None:
    """A sharp head needs no tail, a score only its own, a filter all."""
    asked: list[tuple[int, list[int]]] = []

    def tail_logits(tail: int, rows: Sequence[int]) -> FloatArray:
        asked.append((tail, list(rows)))
        begin, end = ((8, 9), (9, 20), (20, END))[tail]
        return np.zeros((len(rows), end - begin), dtype=np.float32)

    head_RJ = np.zeros((5, 12), dtype=np.float32)
    head_RJ[0, 4] = head_RJ[1, 4] = 50.0  # a word of the head
    head_RJ[2, 10] = 50.0  # the second tail
    asks = [
        SamplerRequest(Sampling(), sample=True),
        SamplerRequest(Sampling(temperature=0.0), sample=True),
        SamplerRequest(Sampling(temperature=0.5), sample=True),
        SamplerRequest(Sampling(), score=25),
        SamplerRequest(Sampling(top_p=0.5), sample=True),
    ]
    sampler = AdaptiveSampler([(8, 9), (9, 20), (20, END)], [])
    answers = sampler.answer(head_RJ, tail_logits, asks)
    assert asked == [(0, [4]), (1, [2, 4]), (2, [3, 4])]
    tokens = [answer.generated.token for answer in answers[:3] if answer.generated]
    assert tokens[:2] == [4, 4]
    assert 9 <= tokens[2] < 20
    assert answers[3].scored is not None
    assert answers[3].scored.logprob == pytest.approx(-np.log(12 * 19))

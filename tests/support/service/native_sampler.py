"""The native kernel's sampling behind the interface of the torch sampler, for any logits.

A network whose recurrent state is always zero has its output bias as logits.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence

import numpy as np
import torch

from model.architecture import LanguageModelArchitecture
from model.networks import LanguageModel
from service.kernel.api.interface import FloatArray, RowWork
from service.kernel.native.kernel import NativeKernel
from service.kernel.pytorch.sampler import SamplerRequest, SamplerResult


@functools.lru_cache(maxsize=128)
def kernel_of(logits: bytes, suppressed: frozenset[int]) -> NativeKernel:
    """A kernel of one row whose next token always has these logits (float32)."""
    logits_V = np.frombuffer(logits, dtype=np.float32)
    vocabulary = len(logits_V)
    architecture = LanguageModelArchitecture(
        cell="elman", vocabulary=vocabulary, embedding=1, hidden=1, layers=1
    )
    network = LanguageModel(architecture)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        network.output.bias.copy_(torch.tensor(logits_V))
    return NativeKernel(
        network, capacity=1, end=vocabulary - 1, suppressed=suppressed, precision="float32"
    )


class NativeSampler:
    """Answers like :class:`service.kernel.pytorch.sampler.Sampler`."""

    def __init__(self, vocabulary: int, suppressed: Collection[int]) -> None:
        self._vocabulary = vocabulary
        self._suppressed = frozenset(suppressed)

    def answer(self, logits_RV: FloatArray, asks: Sequence[SamplerRequest]) -> list[SamplerResult]:
        """One answer for each row."""
        return [self._answer(row_V, ask) for row_V, ask in zip(logits_RV, asks, strict=True)]

    def _answer(self, logits_V: FloatArray, ask: SamplerRequest) -> SamplerResult:
        assert len(logits_V) == self._vocabulary
        kernel = kernel_of(logits_V.tobytes(), self._suppressed)
        scored = None
        if ask.score is not None:
            work = RowWork(row=0, feed=[0, ask.score], sampling=ask.sampling, score=True)
            (scored,) = kernel.run([work], 1)[0].scored
        result = kernel.run(
            [
                RowWork(
                    row=0,
                    feed=[0],
                    sample=int(ask.sample),
                    sampling=ask.sampling,
                    position=ask.position,
                    seen=ask.seen,
                    counts=ask.counts,
                    distribution=ask.distribution,
                )
            ],
            1,
        )[0]
        return SamplerResult(
            scored, result.logprobs_V, result.generated[0] if result.generated else None
        )

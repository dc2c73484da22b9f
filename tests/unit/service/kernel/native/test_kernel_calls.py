"""The length of a call of a kernel, and the tokens that it reports."""

from __future__ import annotations

import pytest

from model.artifact import weights_of
from model.networks import LanguageModel
from service.kernel.api.interface import Kernel, RowWork, Sampling
from service.kernel.api.packing import KernelPrecision
from service.kernel.native.kernel import NativeKernel
from service.kernel.pytorch.kernel import TorchKernel
from tests.support.service.reference import random_network

each_kernel = pytest.mark.parametrize("native", [True, False])


def kernel_of(network: LanguageModel, *, capacity: int, native: bool) -> Kernel:
    """A kernel whose texts do not end."""
    if native:
        return NativeKernel(weights_of(network), capacity=capacity, end=-1, suppressed={0})
    return TorchKernel(network, capacity=capacity, end=-1, suppressed={0})


@each_kernel
def test_a_call_ends_when_its_time_is_over(*, native: bool) -> None:
    """With no time a call takes one step, and with enough time all of them."""
    rows = kernel_of(random_network("lstm", 2), capacity=2, native=native)
    work = [RowWork(row=row, feed=[3], sample=5, sampling=Sampling(seed=row)) for row in range(2)]
    for seconds, steps in ((0.0, 1), (1e9, 5)):
        results = rows.run(work, 5, seconds=seconds)
        assert [len(result.tokens) for result in results] == [steps, steps]


@each_kernel
def test_tokens_without_logprobs_are_the_same(*, native: bool) -> None:
    """Tokens do not depend on whether their log-probabilities are wanted."""
    network = random_network("gru", 2)
    plain, reported = (
        kernel_of(network, capacity=1, native=native).run(
            [RowWork(row=0, feed=[3], sample=9, sampling=Sampling(seed=5, logprob=logprob))], 9
        )[0]
        for logprob in (False, True)
    )
    assert plain.tokens == reported.tokens == [one.token for one in reported.generated]
    assert plain.generated == []


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_text_read_in_one_call_gives_the_bits_of_single_steps(
    precision: KernelPrecision, threads: int
) -> None:
    """Products over many tokens at once give the same scores, kept state and state."""
    feed = [1 + (7 * token) % 20 for token in range(150)]
    kernel = NativeKernel(
        weights_of(random_network("lstm", 2)),
        capacity=2,
        end=-1,
        suppressed={0},
        threads=threads,
        precision=precision,
        worth_sharing=0,
    )
    for row in range(2):
        kernel.open(row)
    (whole,) = kernel.run([RowWork(row=0, feed=feed, score=True, keep=100)], len(feed))
    scored = []
    for token in range(len(feed)):
        (step,) = kernel.run([RowWork(row=1, feed=feed[token : token + 2], score=True)], 1)
        scored += step.scored
        if token == 99:
            kept = kernel.save(1)
    assert whole.read == len(feed)
    assert whole.scored == scored
    assert len(scored) == len(feed) - 1
    assert whole.kept is not None
    assert whole.kept.values_PLH.tobytes() == kept.values_PLH.tobytes()
    assert kernel.save(0).values_PLH.tobytes() == kernel.save(1).values_PLH.tobytes()

"""Extreme numbers in the kernels: refused, or valid results.

`make sanitize` runs the native tests of these under sanitizers, which detect reads and writes out
of bounds.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.architecture import CELLS, LanguageModelArchitecture
from model.artifact import weights_of
from model.networks import LanguageModel
from service.kernel.api.interface import RowResult, RowWork, Sampling, Scored
from service.kernel.api.packing import KernelPrecision
from service.kernel.api.row_state import RowState, state_parts
from service.kernel.factory import make_kernel
from tests.support.repository import ROOT
from tests.support.service.native_sampler import kernel_of

EXAMPLES = int(os.environ.get("UNROLL_FUZZ_EXAMPLES", "150"))
NUMBERS = [0.0, -0.0, 1e-45, 1.0, -1.0, 65504.0, -65504.0, 1e18, -1e30, 1e31, 3.4e38, -3.4e38]
STATES = [0.0, 1.0, 1e9, -3.4e38, math.inf, -math.inf, math.nan]
ROWS = 3

architectures = st.builds(
    LanguageModelArchitecture,
    cell=st.sampled_from(CELLS),
    vocabulary=st.integers(7, 70),
    embedding=st.integers(1, 18),
    hidden=st.sampled_from([1, 2, 15, 16, 17, 40]),
    layers=st.integers(1, 3),
    projection=st.none() | st.integers(1, 20),
    cutoffs=st.just(()),
) | st.builds(
    LanguageModelArchitecture,
    cell=st.sampled_from(CELLS),
    vocabulary=st.integers(7, 70),
    embedding=st.integers(1, 18),
    hidden=st.sampled_from([1, 3, 16, 33]),
    layers=st.just(1),
    cutoffs=st.sampled_from([(1,), (2, 5), (1, 2, 3, 4)]),
    division=st.sampled_from([1, 2, 100]),
)
samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 1e-30, 0.7, 1.0, 1e4]),
    top_k=st.sampled_from([0, 1, 5, 1000]),
    top_p=st.sampled_from([1.0, 0.5, 0.0]),
    min_p=st.sampled_from([0.0, 0.1, 1.0, 2.0]),
    repetition_penalty=st.sampled_from([1.0, 0.01, 100.0, 1e-30]),
    seed=st.integers(0, 2**64 - 1),
    top_logprobs=st.sampled_from([0, 3, 20, 1000]),
)


def check(result: RowResult, vocabulary: int, sampling: Sampling) -> None:
    """Every id exists, every number is finite, every alternative is reported."""
    for scored in (*result.scored, *result.generated):
        assert 0 <= scored.token < vocabulary
        check_top(scored, min(sampling.top_logprobs, vocabulary))
    assert not {scored.token for scored in result.generated} & {0}
    if result.logprobs_V is not None:
        assert len(result.logprobs_V) == vocabulary
        assert all(map(math.isfinite, result.logprobs_V.tolist()))


def check_top(scored: Scored, count: int) -> None:
    """The likeliest tokens, each once, in order."""
    assert math.isfinite(scored.logprob)
    assert len({token for token, _ in scored.top}) == len(scored.top) == count
    numbers = [logprob for _, logprob in scored.top]
    assert numbers == sorted(numbers, reverse=True)


@pytest.mark.parametrize("kind", ["native", "torch"])
@settings(deadline=None, max_examples=EXAMPLES)
@given(
    architecture=architectures,
    numbers=st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=4),
    sampling=samplings,
    precision=st.sampled_from(["int8", "float32"]),
    state=st.sampled_from(STATES),
    seed=st.integers(0, 1000),
)
def test_no_weight_leads_out_of_bounds(
    kind: Literal["native", "torch"],
    architecture: LanguageModelArchitecture,
    numbers: list[float],
    sampling: Sampling,
    precision: KernelPrecision,
    state: float,
    seed: int,
) -> None:
    """Extreme weights, states and options together: ids exist and numbers are finite, or the
    whole step is refused.
    """
    torch.manual_seed(seed)
    network = LanguageModel(architecture).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.tensor(numbers)[torch.randint(len(numbers), parameter.shape)])
    vocabulary = architecture.vocabulary
    kernel = make_kernel(
        weights_of(network),
        kernel=kind,
        precision=precision,
        threads=2,
        capacity=ROWS,
        end=vocabulary - 1,
        suppressed={0},
    )
    kernel.restore(1, filled(architecture, state))
    work = [
        RowWork(row=0, feed=[1, 2, 3], sampling=sampling, score=True, sample=3, distribution=True),
        RowWork(
            row=1, feed=[vocabulary - 1], sampling=sampling, sample=4, seen={1, 2, vocabulary - 1}
        ),
        RowWork(row=2, feed=[5], sampling=sampling, sample=6),
    ]
    try:
        results = kernel.run(work, 8)
    except FloatingPointError:
        return
    for result in results:
        check(result, vocabulary, sampling)


def filled(architecture: LanguageModelArchitecture, value: float) -> RowState:
    """A state with one number in every unit."""
    shape = (state_parts(architecture), architecture.layers, architecture.hidden)
    return RowState(np.full(shape, value, dtype=np.float32))


@pytest.mark.parametrize("wrong", [-3.4e38, 3.4e38, 1.1e30, -1.1e30])
@pytest.mark.parametrize("place", [0, 5, 16])
def test_a_logit_out_of_range_is_refused(wrong: float, place: int) -> None:
    """One such logit among others: no result is read from unset memory."""
    logits_V = torch.linspace(-2.0, 2.0, 17)
    logits_V[place] = wrong
    kernel = kernel_of(logits_V.numpy().tobytes(), frozenset({3}))
    for sampling in (Sampling(), Sampling(top_logprobs=20), Sampling(top_k=20, top_p=0.9)):
        (result,) = kernel.run([RowWork(row=0, feed=[0], sample=1, sampling=sampling)], 1)
        assert result.failed
        assert not result.generated


@pytest.mark.parametrize("seen", [{-1}, {17}, {2**40}, [1] * 18])
def test_ids_that_do_not_exist_are_refused(seen: set[int] | list[int]) -> None:
    """Ids under the penalty are checked like fed ids."""
    kernel = kernel_of(torch.zeros(17).numpy().tobytes(), frozenset())
    sampling = Sampling(repetition_penalty=2.0)
    with pytest.raises(ValueError, match="seen"):
        kernel.run([RowWork(row=0, feed=[0], sample=1, sampling=sampling, seen=seen)], 1)


OUT_OF_THREADS = """
import resource, sys
from model.artifact import weights_of
from service.kernel.native.kernel import NativeKernel
from service.kernel.native.classifier import NativeClassifierKernel
from tests.unit.service.kernel.native.test_classifier import classify, documents, random_classifier
from tests.unit.service.kernel.native.test_kernel_extreme_numbers import draw
from tests.support.service.reference import random_network

def numbers(threads):
    kernel = NativeClassifierKernel(
        weights_of(random_classifier("lstm")), 64, threads=threads, worth_sharing=0
    )
    language = NativeKernel(
        weights_of(random_network("lstm", 2)), capacity=8, end=29, suppressed=[0], threads=threads,
        worth_sharing=0,
    )
    return classify(kernel, documents(9))[0].tolist(), draw(language)

expected = numbers(1)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, resource.RLIM_INFINITY))
assert numbers(8) == expected
print("done")
"""


def draw(kernel: object) -> list[list[int]]:
    """Tokens of eight rows."""
    work = [RowWork(row=row, feed=[29], sample=8, sampling=Sampling(seed=row)) for row in range(8)]
    results: list[RowResult] = kernel.run(work, 8)  # type: ignore[attr-defined]
    return [[scored.token for scored in result.generated] for result in results]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_without_threads_the_work_is_done_by_fewer() -> None:
    """If the system provides no more threads, classifying and generating continue with the same
    bits. Each thread asks for a stack larger than the address space that is left.
    """
    ended = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -s 1048576 && exec "$0" -c "$1"', sys.executable, OUT_OF_THREADS],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "done\n"

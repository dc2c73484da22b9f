"""A guarantee as a property: a row's bits depend on its own work alone."""

from __future__ import annotations

import functools
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from model.architecture import Cell
from service.kernel.api.interface import RowResult, RowWork, Sampling
from service.kernel.api.packing import KernelPrecision
from service.kernel.native.kernel import NativeKernel
from tests.support.service.reference import random_network

VOCABULARY = 90
END = VOCABULARY - 1
ROWS = 16
CUTOFFS = ((), (9,), (5, 30, 60))

samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.7, 1.0, 1.6]),
    top_k=st.sampled_from([0, 5]),
    top_p=st.sampled_from([1.0, 0.8]),
    min_p=st.sampled_from([0.0, 0.1]),
    repetition_penalty=st.sampled_from([1.0, 1.3]),
    presence_penalty=st.sampled_from([0.0, 0.6]),
    frequency_penalty=st.sampled_from([0.0, -0.2]),
    logit_bias=st.sampled_from([(), ((3, 5.0), (70, -100.0))]),
    seed=st.integers(0, 2**64 - 1),
    logprob=st.booleans(),
    top_logprobs=st.sampled_from([0, 2]),
)
works = st.builds(
    RowWork,
    row=st.just(0),
    feed=st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=12),
    sample=st.integers(0, 12),
    sampling=samplings,
    counts=st.dictionaries(st.integers(0, VOCABULARY - 1), st.integers(1, 9), max_size=5),
    position=st.integers(0, 1000),
    score=st.booleans(),
    distribution=st.booleans(),
)


@functools.cache
def kernel_of(
    cell: Cell, cutoffs: tuple[int, ...], precision: KernelPrecision, threads: int
) -> NativeKernel:
    """Two layers with a projection; shared by all examples, since ``open`` resets a row."""
    network = random_network(
        cell,
        2,
        vocabulary=VOCABULARY,
        hidden=40,
        projection=24,
        cutoffs=cutoffs,
        division=2 if cutoffs else None,
    )
    return NativeKernel(
        network,
        capacity=ROWS,
        end=END,
        suppressed={0, 40},
        threads=threads,
        precision=precision,
        worth_sharing=0,
    )


def run(kernel: NativeKernel, batch: list[RowWork], steps: int) -> list[RowResult]:
    """From the initial state, in one call."""
    for item in batch:
        kernel.open(item.row)
    return kernel.run(batch, steps)


def fields_of(result: RowResult, item: RowWork) -> tuple[object, ...]:
    """All fields of a result, the log-probability of a sampled token only if it was asked for."""
    generated = [
        (one.token, one.logprob if item.sampling.logprob else None, one.top)
        for one in result.generated
    ]
    distribution = None if result.logprobs_V is None else result.logprobs_V.tobytes()
    return result.read, result.scored, generated, distribution


@settings(deadline=None, max_examples=150)
@given(
    batch=st.lists(works, min_size=1, max_size=ROWS),
    cell=st.sampled_from(get_args(Cell)),
    cutoffs=st.sampled_from(CUTOFFS),
    precision=st.sampled_from(["int8", "float32"]),
    steps=st.integers(1, 16),
)
def test_a_row_depends_on_nothing_but_its_work(
    batch: list[RowWork],
    cell: Cell,
    cutoffs: tuple[int, ...],
    precision: KernelPrecision,
    steps: int,
) -> None:
    """With others on two threads, or alone on one in any other row: equal bits."""
    for row, item in enumerate(batch):
        item.row = row
    together = run(kernel_of(cell, cutoffs, precision, 2), batch, steps)
    for item, result in zip(batch, together, strict=True):
        item.row = (item.row * 7 + 3) % ROWS
        (alone,) = run(kernel_of(cell, cutoffs, precision, 1), [item], steps)
        assert fields_of(alone, item) == fields_of(result, item)

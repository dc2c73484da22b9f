"""Each instruction set of this processor gives the guarantees of the best one."""

from __future__ import annotations

import numpy as np
import pytest

from model.architecture import CELLS, Cell
from model.artifact import weights_of
from model.networks import LanguageModel
from service.kernel.api.interface import RowResult, RowWork, Sampling
from service.kernel.api.packing import KernelPrecision
from service.kernel.native import library
from service.kernel.native.kernel import NativeKernel
from tests.support.service.reference import random_network
from tests.unit.service.kernel.native.test_kernel import BOUND, distributions, exact_distributions

SETS = ("amx", "avx512", "avxvnni", "avx2", "dotprod", "plain")
VOCABULARY = 90
TEXT = [89, 4, 7, 2, 2, 19, 28, 11, 5, 88, 54, 0, 31]
PRECISIONS: tuple[KernelPrecision, ...] = ("int8", "float32")

each_cell = pytest.mark.parametrize("cell", CELLS)
each_softmax = pytest.mark.parametrize("cutoffs", [(), (7, 30)], ids=["full", "adaptive"])
each_precision = pytest.mark.parametrize("precision", PRECISIONS)


@pytest.fixture(params=SETS)
def instruction_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of them, in use for kernels made from now on."""
    choose(request.param, monkeypatch)
    return str(request.param)


def choose(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips where the processor has no such set."""
    monkeypatch.setenv(library.INSTRUCTION_SET_VARIABLE, name)
    try:
        assert library.instruction_set() == name
    except library.NativeMissing as error:
        pytest.skip(str(error))


def network_of(cell: Cell, cutoffs: tuple[int, ...], hidden: int = 21) -> LanguageModel:
    """Two layers with a projection, of widths that fill no vector."""
    return random_network(
        cell,
        2,
        vocabulary=VOCABULARY,
        hidden=hidden,
        projection=9,
        cutoffs=cutoffs,
        division=2 if cutoffs else None,
    )


def kernel_of(
    cell: Cell,
    cutoffs: tuple[int, ...],
    precision: KernelPrecision,
    threads: int = 1,
    *,
    hidden: int = 21,
    rows: int = 8,
) -> NativeKernel:
    """A kernel of it, whose threads share even the smallest step."""
    return NativeKernel(
        weights_of(network_of(cell, cutoffs, hidden)),
        capacity=rows,
        end=VOCABULARY - 1,
        suppressed={0},
        threads=threads,
        precision=precision,
        worth_sharing=0,
    )


def texts(kernel: NativeKernel, rows: int) -> list[RowResult]:
    """The tokens of several rows after the same text, each with its own seed and filters."""
    work = [
        RowWork(
            row=row,
            feed=TEXT[row % 8 :],
            sample=40,
            sampling=Sampling(
                temperature=0.5 * (row % 8),
                top_k=9 * (row % 2),
                top_p=1 - 0.1 * (row % 8),
                seed=row,
            ),
        )
        for row in range(rows)
    ]
    for row in range(rows):
        kernel.open(row)
    return kernel.run(work, 64)


@pytest.mark.usefixtures("instruction_set")
@each_cell
@each_softmax
def test_numbers_are_those_of_torch(cell: Cell, cutoffs: tuple[int, ...]) -> None:
    """In float32 within the bound that the best set keeps."""
    network = network_of(cell, cutoffs)
    kernel = kernel_of(cell, cutoffs, "float32")
    kernel.open(3)
    logprobs = distributions(kernel, 3, TEXT)
    np.testing.assert_allclose(logprobs, exact_distributions(network, TEXT), atol=BOUND)


@pytest.mark.usefixtures("instruction_set")
@each_cell
@each_softmax
@each_precision
def test_rows_do_not_depend_on_their_neighbors(
    cell: Cell, cutoffs: tuple[int, ...], precision: KernelPrecision
) -> None:
    """Seven rows together on two threads sample the same tokens as alone on one, to the last
    bit.
    """
    together = texts(kernel_of(cell, cutoffs, precision, threads=2), 7)
    alone = kernel_of(cell, cutoffs, precision)
    for count in (1, 2, 3, 5):
        assert texts(alone, count) == together[:count]


@pytest.mark.usefixtures("instruction_set")
@each_cell
@each_precision
def test_many_rows_of_a_wide_network_do_not_depend_on_one_another(
    cell: Cell, precision: KernelPrecision
) -> None:
    """Nor where rows and inputs fill more than one register of sixteen rows and 64 bytes."""
    together = texts(kernel_of(cell, (), precision, threads=2, hidden=149, rows=70), 70)
    alone = kernel_of(cell, (), precision, hidden=149)
    assert texts(alone, 3) == together[:3]
    apart = kernel_of(cell, (), precision, hidden=149, rows=19)
    assert texts(apart, 19) == together[:19]


@each_cell
@each_softmax
@pytest.mark.parametrize("other", SETS[1:])
def test_int8_draws_the_same_text_on_every_set(
    cell: Cell, cutoffs: tuple[int, ...], other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Integer sums are exact, so a replica on an older processor continues with the same tokens."""
    choose(other, monkeypatch)
    older = texts(kernel_of(cell, cutoffs, "int8", hidden=85), 5)
    monkeypatch.delenv(library.INSTRUCTION_SET_VARIABLE)
    best = texts(kernel_of(cell, cutoffs, "int8", hidden=85), 5)
    generated = [[one.token for one in result.generated] for result in best]
    assert [[one.token for one in result.generated] for result in older] == generated

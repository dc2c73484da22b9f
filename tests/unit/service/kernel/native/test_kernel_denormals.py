"""Numbers that are too small for full speed are zero in the kernel, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from model.artifact import weights_of
from service.kernel.api.interface import RowWork
from service.kernel.api.packing import KernelPrecision
from service.kernel.api.row_state import RowState
from service.kernel.native.kernel import NativeKernel
from tests.support.service.reference import random_network

DENORMAL = 1e-40
END = 29


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_silent_network_decays_to_zero(precision: KernelPrecision, threads: int) -> None:
    """Without weights a step halves the cells. Half a denormal number would be one too, so a zero
    shows that the thread flushes them; this holds in every thread.
    """
    network = random_network("lstm", 1, hidden=320, scale=0.0)
    kernel = NativeKernel(
        weights_of(network),
        capacity=4,
        end=END,
        suppressed={0},
        threads=threads,
        precision=precision,
        worth_sharing=0,
    )
    values_PLH = np.zeros_like(kernel.save(0).values_PLH)
    values_PLH[1] = DENORMAL
    faint = RowState(values_PLH)
    for _ in range(20):
        for row in range(4):
            kernel.restore(row, faint)
        kernel.run([RowWork(row=row, feed=[1]) for row in range(4)], 1)
        for row in range(4):
            assert not kernel.save(row).values_PLH[1].any()


def test_the_calling_thread_keeps_its_mode() -> None:
    """After a call, denormal numbers of the same thread are exact again."""
    kernel = NativeKernel(
        weights_of(random_network("gru", 1)), capacity=1, end=END, suppressed=set()
    )
    kernel.run([RowWork(row=0, feed=[1], sample=3)], 3)
    assert np.float32(DENORMAL) * np.float32(0.5) > 0

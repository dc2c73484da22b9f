"""The packed product, with oneDNN and without."""

from __future__ import annotations

import pytest
import torch

from service.kernel.pytorch.linear import PackedLinear, has_onednn

WAYS = [pytest.param(True, marks=pytest.mark.skipif(not has_onednn(), reason="no oneDNN")), False]


@pytest.mark.parametrize("onednn", WAYS)
@pytest.mark.parametrize("shape", [(13, 7), (129, 33), (1024, 512)])
@pytest.mark.parametrize("threads", [1, 2])
def test_rows_are_exact_and_independent(onednn: bool, shape: tuple[int, int], threads: int) -> None:
    """Rows have the values of float64 and the same bits at every allowed number of rows."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    weight_OI = torch.randn(shape, generator=generator)
    bias_O = torch.randn(shape[0], generator=generator)
    values_BI = torch.randn(64, shape[1], generator=generator)
    linear = PackedLinear(weight_OI, bias_O, onednn=onednn)
    everything = linear(values_BI)
    exact = torch.addmm(bias_O.double(), values_BI.double(), weight_OI.double().t())
    assert (everything - exact).abs().max() < 1e-5 * shape[1] ** 0.5 * 3
    for rows in range(linear.row_multiple, 64, linear.row_multiple * 3):
        assert torch.equal(linear(values_BI[:rows].contiguous()), everything[:rows])
        assert torch.equal(linear(values_BI[-rows:].contiguous()), everything[-rows:])
    torch.set_num_threads(before)

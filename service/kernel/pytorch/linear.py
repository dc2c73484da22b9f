"""A matrix product with weights packed once, in which rows do not affect one another.

oneDNN's inner product on weights reordered at load is torch's fastest float32 product on x86 (1.4
to 1.9 times as fast as ``addmm`` at 8 to 64 rows). It gives a row the same bits for any number of
rows from 2 on. Without oneDNN, ``addmm`` gives a row the same bits in every batch of ROWS rows, but
not in batches of different sizes (MKL on AVX-512). ``row_multiple`` is the multiple to which a
batch must be padded.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 8  # of a product without oneDNN


def has_onednn() -> bool:
    """Whether torch was built with oneDNN and its operators on packed weights."""
    return torch.backends.mkldnn.is_available() and hasattr(
        torch.ops.mkldnn, "_reorder_linear_weight"
    )


class PackedLinear:
    """y = x W^T + b for a batch whose number of rows is a multiple of ``row_multiple``."""

    def __init__(self, weight_OI: Tensor, bias_O: Tensor, *, onednn: bool | None = None) -> None:
        self._onednn = has_onednn() if onednn is None else onednn
        self._bias_O = bias_O.detach().float().contiguous().clone()
        weight_OI = weight_OI.detach().float().contiguous()
        if self._onednn:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(weight_OI, 64)
        else:
            self._weight = weight_OI.clone().t()

    @property
    def row_multiple(self) -> int:
        """The multiple to which the number of rows must be padded."""
        return 4 if self._onednn else ROWS

    def __call__(self, values_BI: Tensor) -> Tensor:
        """(B, I) -> (B, O), both float32 and contiguous."""
        if self._onednn:
            product_BO: Tensor = torch.ops.mkldnn._linear_pointwise(
                values_BI, self._weight, self._bias_O, "none", [], ""
            )
            return product_BO
        blocks = [torch.addmm(self._bias_O, rows, self._weight) for rows in values_BI.split(ROWS)]
        return torch.cat(blocks)

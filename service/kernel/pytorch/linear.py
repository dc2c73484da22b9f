"""A matrix product with weights packed once, whose rows do not depend on one another.

oneDNN's inner product on weights reordered at load is the fastest float32 product torch has on
x86 (1.4 to 1.9 times ``addmm`` at 8 to 64 rows), and gives a row the same bits for any number of
rows from 2 on. Where torch comes without it, ``addmm`` does the same from multiples of 8 on.
``row_multiple`` says to what number of rows a batch must be padded. Knows no cells.
"""

from __future__ import annotations

import torch
from torch import Tensor


def has_onednn() -> bool:
    """Whether torch was built with oneDNN and its operators on packed weights."""
    return torch.backends.mkldnn.is_available() and hasattr(
        torch.ops.mkldnn, "_reorder_linear_weight"
    )


class PackedLinear:
    """y = x W^T + b for a batch of at least ``row_multiple`` rows, a multiple of it."""

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
        """Batches must have a multiple of this many rows."""
        return 4 if self._onednn else 8

    def __call__(self, values_BI: Tensor) -> Tensor:
        """(B, I) -> (B, O), both float32 and contiguous."""
        if self._onednn:
            product_BO: Tensor = torch.ops.mkldnn._linear_pointwise(
                values_BI, self._weight, self._bias_O, "none", [], ""
            )
            return product_BO
        return torch.addmm(self._bias_O, values_BI, self._weight)

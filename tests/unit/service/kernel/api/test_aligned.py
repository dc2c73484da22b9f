"""Arrays that begin at a cache line."""

from __future__ import annotations

import numpy as np
import pytest

from service.kernel.api.aligned import LINE, aligned_copy, aligned_empty, aligned_zeros


@pytest.mark.parametrize("shape", [(1,), (3, 5), (257, 33)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_arrays_begin_at_a_line(shape: tuple[int, ...], dtype: type) -> None:
    """Address, shape, type and order are those asked for."""
    for array in (aligned_empty(shape, dtype), aligned_zeros(shape, dtype)):
        assert array.ctypes.data % LINE == 0
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.flags.c_contiguous
    assert not aligned_zeros(shape, dtype).any()


def test_a_copy_has_the_values_in_their_own_order() -> None:
    """A transposed array becomes contiguous."""
    values = np.arange(12, dtype=np.int32).reshape(3, 4).T
    copy = aligned_copy(values)
    assert copy.ctypes.data % LINE == 0
    assert copy.flags.c_contiguous
    assert copy.tolist() == values.tolist()

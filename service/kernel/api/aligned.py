"""Arrays that begin at a cache line, so that no load of a vector touches two lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LINE = 64  # bytes of a cache line, and of the widest vector


def aligned_empty(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """An array without initial values, contiguous, at an address that is a multiple of 64."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    memory = np.empty(size + LINE, np.uint8)
    begin = -memory.ctypes.data % LINE
    return memory[begin : begin + size].view(kind).reshape(shape)


def aligned_zeros(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """The same, filled with zeros."""
    array = aligned_empty(shape, dtype)
    array.fill(0)
    return array


def aligned_copy(values: NDArray[Any]) -> NDArray[Any]:
    """A contiguous copy, whatever the order of the values in memory."""
    array = aligned_empty(values.shape, values.dtype)
    np.copyto(array, values)
    return array

"""A counter-based random number generator: (seed, choice_index, position, token) gives the number.

There is no generator state, so a row's tokens cannot depend on other rows. The exact function, for
implementations in other languages:

    key   = splitmix64(splitmix64(splitmix64(seed) ^ choice_index) ^ position)    64 bits
    h     = token * 0x9E3779B9 + (key & 0xFFFFFFFF)                               modulo 2**32
    h     = mix(h) + (key >> 32);  h = mix(h)                                     modulo 2**32
    w     = float32(h) * 2**-32 + 2**-33                                          0 < w <= 1

``splitmix64`` adds 0x9E3779B97F4A7C15 and finalizes (Steele, Lea and Flood, 2014). ``mix`` is the
32-bit finalizer "lowbias32" (Wellons, 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.kernel.api.interface import FloatArray

UintArray = NDArray[np.uint32]
KeyArray = NDArray[np.uint64]

GOLDEN_32 = np.uint32(0x9E3779B9)
GOLDEN_64 = np.uint64(0x9E3779B97F4A7C15)
SMALLEST_UNIFORM = 2.0**-33  # half a step of 32 bits, so that w is never 0


def keys(seeds: Sequence[int], choice_indices: Sequence[int], positions: Sequence[int]) -> KeyArray:
    """The 64-bit key of each row. Each argument has one unsigned 64-bit number per row."""
    key_R = _splitmix64(np.array(seeds, dtype=np.uint64))
    key_R = _splitmix64(key_R ^ np.array(choice_indices, dtype=np.uint64))
    return _splitmix64(key_R ^ np.array(positions, dtype=np.uint64))


def uniforms(keys_R: KeyArray, tokens_N: UintArray) -> FloatArray:
    """The number w for each row and token id (R, N)."""
    shape = (len(keys_R), len(tokens_N))
    out_RN = np.empty(shape, dtype=np.float32)
    fill_uniforms(
        keys_R, tokens_N * GOLDEN_32, np.empty(shape, np.uint32), np.empty(shape, np.uint32), out_RN
    )
    return out_RN


def fill_uniforms(
    keys_R: KeyArray,
    spread_N: UintArray,
    hash_RN: UintArray,
    scratch_RN: UintArray,
    out_RN: FloatArray,
) -> None:
    """:func:`uniforms` without allocation. ``spread_N`` is the token ids times GOLDEN_32."""
    low_R1 = (keys_R & np.uint64(0xFFFFFFFF)).astype(np.uint32)[:, None]
    high_R1 = (keys_R >> np.uint64(32)).astype(np.uint32)[:, None]
    np.add(spread_N, low_R1, out=hash_RN)
    _mix(hash_RN, scratch_RN)
    np.add(hash_RN, high_R1, out=hash_RN)
    _mix(hash_RN, scratch_RN)
    np.copyto(out_RN, hash_RN, casting="unsafe")
    np.multiply(out_RN, np.float32(2.0**-32), out=out_RN)
    np.add(out_RN, np.float32(SMALLEST_UNIFORM), out=out_RN)


def _mix(values: UintArray, scratch: UintArray) -> None:
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        np.right_shift(values, np.uint32(shift), out=scratch)
        np.bitwise_xor(values, scratch, out=values)
        np.multiply(values, np.uint32(factor), out=values)
    np.right_shift(values, np.uint32(16), out=scratch)
    np.bitwise_xor(values, scratch, out=values)


def _splitmix64(values_R: KeyArray) -> KeyArray:
    mixed_R = values_R + GOLDEN_64
    mixed_R = (mixed_R ^ (mixed_R >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed_R = (mixed_R ^ (mixed_R >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed_R ^ (mixed_R >> np.uint64(31))

"""Checks of the arguments of a kernel, done before any row moves."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from service.kernel.api.interface import InvalidWork, RowWork
from service.kernel.api.row_state import RowState


def check_suppressed(suppressed: Collection[int], vocabulary: int) -> None:
    """Raises ValueError if no token is left to sample."""
    if vocabulary - len(set(suppressed)) < 1:
        raise ValueError("suppressed: at least one token must be left to sample")


def check_row(row: int, capacity: int) -> None:
    """Raises ValueError if the row does not exist."""
    if not 0 <= row < capacity:
        raise ValueError(f"row: expected 0 to {capacity - 1}, got {row}")


def check_state(state: RowState, shape: tuple[int, int, int]) -> None:
    """Raises ValueError unless the state has float32 numbers of ``shape``: parts, layers, units."""
    values = state.values_PLH
    if values.shape != shape or values.dtype != np.float32:
        raise ValueError(f"state: expected {shape} float32 numbers, got {values.shape}")


def check_work(work: Sequence[RowWork], steps: int, capacity: int, vocabulary: int) -> None:
    """Raises InvalidWork on a row, token or count out of range."""
    if steps < 1:
        raise InvalidWork(f"steps: expected at least 1, got {steps}")
    rows = [item.row for item in work]
    if len(set(rows)) != len(rows):
        raise InvalidWork("work: a row appears twice")
    for item in work:
        if not 0 <= item.row < capacity:
            raise InvalidWork(f"row: expected 0 to {capacity - 1}, got {item.row}")
        if not item.feed:
            raise InvalidWork("feed: expected at least one token")
        if not 0 <= min(item.feed) <= max(item.feed) < vocabulary:
            raise InvalidWork(f"feed: expected token ids from 0 to {vocabulary - 1}")
        if item.seen and not 0 <= min(item.seen) <= max(item.seen) < vocabulary:
            raise InvalidWork(f"seen: expected token ids from 0 to {vocabulary - 1}")
        if len(item.seen) > vocabulary:
            raise InvalidWork(f"seen: expected each id once, got {len(item.seen)}")
        _check_adjustments(item, vocabulary)
        _check_constraint(item, vocabulary)
        if item.sample < 0:
            raise InvalidWork(f"sample: expected 0 or more, got {item.sample}")


def _check_constraint(item: RowWork, vocabulary: int) -> None:
    constraint, state = item.constraint, item.constraint_state
    if constraint is None:
        return
    if len(constraint.tokens) != vocabulary:
        raise InvalidWork(f"constraint: expected one for {vocabulary} tokens")
    if not 0 <= state < constraint.states:
        raise InvalidWork(f"constraint_state: expected 0 to {constraint.states - 1}, got {state}")


def _check_adjustments(item: RowWork, vocabulary: int) -> None:
    biased = [token for token, _ in item.sampling.logit_bias]
    if len(set(biased)) != len(biased):
        raise InvalidWork("logit_bias: expected each id once")
    for name, ids in (("counts", item.counts), ("logit_bias", biased)):
        if ids and not 0 <= min(ids) <= max(ids) < vocabulary:
            raise InvalidWork(f"{name}: expected token ids from 0 to {vocabulary - 1}")
    if item.counts and not 1 <= min(item.counts.values()) <= max(item.counts.values()) < 2**31:
        raise InvalidWork("counts: expected numbers from 1 to 2**31 - 1")

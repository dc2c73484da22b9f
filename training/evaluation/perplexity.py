"""Negative log-likelihood of a token stream under a language model, read in parallel columns.

The stream is split into columns that are read as one batch. A column that begins inside a document
first reads up to ``BURN_IN`` preceding tokens without counting them. So every counted token has the
context from the beginning of its document or at least ``BURN_IN`` tokens of it; recurrent language
models use about half of that. A single column is exact.

Shapes: T time steps, B columns, N predictions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.networks import LanguageModel
from training.data.token_stream import TokenArray, TokenStream
from training.optimization.losses import LOGIT_ROWS
from training.runtime.precision import Precision, autocast

BURN_IN = 512
MAX_COLUMNS = 32
LARGEST_LOSS = 700.0  # nats; exp of more overflows
STEPS_PER_BLOCK = 64
MAX_LOGITS, FEWEST_ROWS = 7_000_000, 32  # logits that are computed at a time, and rows of them


class ColumnBlock(NamedTuple):
    """A few steps of all columns: inputs, targets, and a mask of the predictions that count."""

    inputs_TB: Tensor
    targets_TB: Tensor
    counted_TB: Tensor


@dataclass(frozen=True, slots=True)
class ColumnBatches:
    """Columns of a stream; their tokens are gathered when they are read.

    A column reads from ``firsts_B`` to ``ends_B`` (exclusive) and counts from ``begins_B`` on.
    """

    stream: TokenStream
    firsts_B: TokenArray
    begins_B: TokenArray
    ends_B: TokenArray

    @property
    def steps(self) -> int:
        """The length of the longest column."""
        return int((self.ends_B - self.firsts_B).max())

    @property
    def count(self) -> int:
        """The number of predictions that count."""
        return int((self.ends_B - self.begins_B).sum())

    def counted(self, begin: int, end: int) -> Tensor:
        """A mask (T, B) of the predictions that count in steps ``begin`` to ``end``."""
        places_TB = self._places(begin, end)
        return torch.from_numpy((self.begins_B <= places_TB) & (places_TB < self.ends_B))

    def block(self, begin: int, end: int) -> ColumnBlock:
        """Steps ``begin`` to ``end``; shorter columns are padded with [END]."""
        stream, places_TB = self.stream, self._places(begin, end)
        inside_TB = places_TB < self.ends_B
        inputs_TB, targets_TB = (
            np.where(inside_TB, stream.tokens_N[(places_TB + offset) % len(stream)], stream.end)
            for offset in (0, 1)
        )
        if begin == 0:
            inputs_TB[0] = stream.end
        return ColumnBlock(
            torch.from_numpy(inputs_TB.astype(np.int64)),
            torch.from_numpy(targets_TB.astype(np.int64)),
            self.counted(begin, end),
        )

    def _places(self, begin: int, end: int) -> TokenArray:
        steps_T = np.arange(begin, min(end, self.steps))
        places_TB: TokenArray = steps_T[:, np.newaxis] + self.firsts_B
        return places_TB


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The sum of -log p over ``count`` predictions, in nats."""

    nats: float
    count: int

    @property
    def loss(self) -> float:
        """Nats per prediction."""
        return self.nats / self.count

    @property
    def perplexity(self) -> float:
        """exp(loss), bounded so that it is finite."""
        return math.exp(min(self.loss, LARGEST_LOSS))


def split_into_columns(
    stream: TokenStream,
    *,
    columns: int | None = None,
    limit: int | None = None,
    burn_in: int = BURN_IN,
) -> ColumnBatches:
    """Splits a stream into columns of nearly equal length.

    Args:
        stream: the tokens.
        columns: number of columns; by default at most ``MAX_COLUMNS``, and few enough that a
            column is at least four times as long as its burn-in.
        limit: approximate number of predictions to count, spread evenly over the stream; None: all.
        burn_in: maximum number of tokens that a column reads before those that count.
    """
    total = len(stream)
    count = columns or max(1, min(MAX_COLUMNS, total // (4 * BURN_IN)))
    edges = np.linspace(0, total, min(count, total) + 1).astype(np.int64)
    share = 1.0 if limit is None else min(1.0, limit / total)
    begins_B, widths_B = edges[:-1], np.diff(edges)
    ends_B = begins_B + np.maximum(1, np.round(widths_B * share).astype(np.int64))
    documents_B = np.searchsorted(stream.borders_D, begins_B, side="right") - 1
    firsts_B = np.maximum(stream.borders_D[documents_B], begins_B - burn_in)
    return ColumnBatches(stream, firsts_B, begins_B, ends_B)


@torch.no_grad()
def likelihood(
    network: LanguageModel,
    batches: ColumnBatches,
    precision: Precision,
    *,
    deadline: float = math.inf,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Likelihood:
    """The likelihood of all columns, from the learned initial state, in evaluation mode.

    After ``deadline`` (``time.monotonic()``) the reading ends once anything has been counted.
    ``on_progress`` is called with the share that has been read.
    """
    nats, count = 0.0, 0
    with _evaluation_mode(network):
        for steps, losses_N in _block_losses(network, batches, precision):
            nats += float(losses_N.sum(dtype=torch.float64))
            count += len(losses_N)
            on_progress(min(1.0, steps.stop / batches.steps))
            if count > 0 and time.monotonic() > deadline:
                break
    return Likelihood(nats, count)


@torch.no_grad()
def token_losses(
    network: LanguageModel,
    batches: ColumnBatches,
    precision: Precision,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> Tensor:
    """-log p (N,) of every prediction that counts, in nats and in the order of the stream.

    ``on_progress`` is called with the share that has been read.
    """
    counted_TB = batches.counted(0, batches.steps)
    losses_TB = torch.zeros(counted_TB.shape)
    with _evaluation_mode(network):
        for steps, losses_N in _block_losses(network, batches, precision):
            losses_TB[steps][counted_TB[steps]] = losses_N
            if on_progress is not None:
                on_progress(min(1.0, steps.stop / batches.steps))
    return losses_TB.t()[counted_TB.t()]


def _block_losses(
    network: LanguageModel, batches: ColumnBatches, precision: Precision
) -> Iterator[tuple[slice, Tensor]]:
    """For each block: its steps, and the losses of the predictions that count."""
    state = network.initial_state(len(batches.firsts_B))
    for begin in range(0, batches.steps, STEPS_PER_BLOCK):
        end = begin + STEPS_PER_BLOCK
        inputs_TB, targets_TB, counted_TB = batches.block(begin, end)
        starts_TB = inputs_TB == batches.stream.end
        with autocast(precision):
            encoded = network.encode(inputs_TB, state, starts_TB if starts_TB.any() else None)
            targets_N = targets_TB[counted_TB]
            losses_N = prediction_losses(network, encoded.raw_TBH[counted_TB], targets_N)
        yield slice(begin, end), losses_N
        state = encoded.state


def prediction_losses(network: LanguageModel, hidden_NH: Tensor, targets_N: Tensor) -> Tensor:
    """-log p (N,) of each target given its hidden state, in nats.

    The logits are computed a few rows at a time, which bounds the memory. Matrices above 32 MB
    would get new pages from the system each time.
    """
    parts, losses = network.output.parts(), [torch.empty(0)]
    count = max(FEWEST_ROWS, min(LOGIT_ROWS, MAX_LOGITS // network.architecture.vocabulary))
    for begin in range(0, len(targets_N), count):
        rows = slice(begin, begin + count)
        losses.append(-parts.log_probability(network.projected(hidden_NH[rows]), targets_N[rows]))
    return torch.cat(losses)


@contextmanager
def _evaluation_mode(network: LanguageModel) -> Iterator[None]:
    """A block in evaluation mode; the previous mode is restored afterwards."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)

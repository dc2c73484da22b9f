"""How well a language model predicts a stream: its negative log-likelihood, read in lanes.

The stream is cut into lanes that are read side by side. A lane that begins inside a document first
reads up to BURN_IN tokens before its part, uncounted, so that every counted token but those has at
least that much context; recurrent language models use about half of it. One lane is exact. Shape
suffixes: T time, B lanes, N predictions. Knows no training.
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
from training.data.token_stream import Stream, Tokens
from training.optimization.losses import ROWS
from training.runtime.precision import Precision, autocast

BURN_IN = 512
LANES = 32
LARGEST_LOSS = 700.0  # nats; exp of more is no longer a number
STEPS = 64  # steps read at a time


class Block(NamedTuple):
    """A few steps of all lanes: inputs, targets, and which predictions count."""

    inputs_TB: Tensor
    targets_TB: Tensor
    counted_TB: Tensor


@dataclass(frozen=True, slots=True)
class ColumnBatches:
    """Lanes of a stream, taken from it when they are read.

    Each reads from ``firsts_B`` up to ``ends_B`` and counts from ``begins_B`` on.
    """

    stream: Stream
    firsts_B: Tokens
    begins_B: Tokens
    ends_B: Tokens

    @property
    def steps(self) -> int:
        """Of the longest lane."""
        return int((self.ends_B - self.firsts_B).max())

    @property
    def count(self) -> int:
        """How many predictions count."""
        return int((self.ends_B - self.begins_B).sum())

    def counted(self, begin: int, end: int) -> Tensor:
        """Which predictions of these steps count."""
        places_TB = self._places(begin, end)
        return torch.from_numpy((self.begins_B <= places_TB) & (places_TB < self.ends_B))

    def block(self, begin: int, end: int) -> Block:
        """These steps; behind the end of a lane stands [END]."""
        stream, places_TB = self.stream, self._places(begin, end)
        inside_TB = places_TB < self.ends_B
        inputs_TB, targets_TB = (
            np.where(inside_TB, stream.tokens_N[(places_TB + ahead) % len(stream)], stream.end)
            for ahead in (0, 1)
        )
        if begin == 0:
            inputs_TB[0] = stream.end
        return Block(
            torch.from_numpy(inputs_TB.astype(np.int64)),
            torch.from_numpy(targets_TB.astype(np.int64)),
            self.counted(begin, end),
        )

    def _places(self, begin: int, end: int) -> Tokens:
        steps_T = np.arange(begin, min(end, self.steps))
        places_TB: Tokens = steps_T[:, np.newaxis] + self.firsts_B
        return places_TB


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The sum of -log p over ``count`` predictions, in nats."""

    nats: float
    count: int

    @property
    def loss(self) -> float:
        """Nats for each prediction."""
        return self.nats / self.count

    @property
    def perplexity(self) -> float:
        """Two to the power of the bits for each prediction; bounded, so that it is a number."""
        return math.exp(min(self.loss, LARGEST_LOSS))


def split_into_columns(
    stream: Stream, *, lanes: int | None = None, limit: int | None = None, run_in: int = BURN_IN
) -> ColumnBatches:
    """Cuts a stream into lanes.

    Args:
        stream: what is read.
        lanes: how many; by default as many as keep the uncounted share small, at most LANES.
        limit: about how many predictions to count, spread evenly over the stream; default all.
        run_in: how many tokens a lane reads first, uncounted, if its document is so long.
    """
    total = len(stream)
    chosen = lanes or max(1, min(LANES, total // (4 * BURN_IN)))
    edges = np.linspace(0, total, min(chosen, total) + 1).astype(np.int64)
    share = 1.0 if limit is None else min(1.0, limit / total)
    begins_B, widths_B = edges[:-1], np.diff(edges)
    ends_B = begins_B + np.maximum(1, np.round(widths_B * share).astype(np.int64))
    documents_B = np.searchsorted(stream.borders_D, begins_B, side="right") - 1
    firsts_B = np.maximum(stream.borders_D[documents_B], begins_B - run_in)
    return ColumnBatches(stream, firsts_B, begins_B, ends_B)


@torch.no_grad()
def likelihood(
    network: LanguageModel,
    reading: ColumnBatches,
    precision: Precision,
    *,
    deadline: float = math.inf,
) -> Likelihood:
    """Reads all lanes from the learned first state, in evaluation mode.

    At ``deadline`` on the monotonic clock it stops, as soon as anything has been counted.
    """
    nats, count = 0.0, 0
    with _evaluating(network):
        for _, losses_N in _losses(network, reading, precision):
            nats += float(losses_N.sum(dtype=torch.float64))
            count += len(losses_N)
            if count > 0 and time.monotonic() > deadline:
                break
    return Likelihood(nats, count)


@torch.no_grad()
def token_losses(
    network: LanguageModel,
    reading: ColumnBatches,
    precision: Precision,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> Tensor:
    """-log p of every prediction that counts, in nats and in the order of the stream.

    ``on_progress`` is told the share that is read.
    """
    counted_TB = reading.counted(0, reading.steps)
    losses_TB = torch.zeros(counted_TB.shape)
    with _evaluating(network):
        for steps, losses_N in _losses(network, reading, precision):
            losses_TB[steps][counted_TB[steps]] = losses_N
            if on_progress is not None:
                on_progress(min(1.0, steps.stop / reading.steps))
    return losses_TB.t()[counted_TB.t()]


def _losses(
    network: LanguageModel, reading: ColumnBatches, precision: Precision
) -> Iterator[tuple[slice, Tensor]]:
    """Every few steps: which steps they are, and the losses of those predictions that count."""
    state = network.initial_state(len(reading.firsts_B))
    for begin in range(0, reading.steps, STEPS):
        inputs_TB, targets_TB, counted_TB = reading.block(begin, begin + STEPS)
        starts_TB = inputs_TB == reading.stream.end
        with autocast(precision):
            encoded = network.encode(inputs_TB, state, starts_TB if starts_TB.any() else None)
            targets_N = targets_TB[counted_TB]
            losses_N = prediction_losses(network, encoded.raw_TBH[counted_TB], targets_N)
        yield slice(begin, begin + STEPS), losses_N
        state = encoded.state


def prediction_losses(network: LanguageModel, hidden_NH: Tensor, targets_N: Tensor) -> Tensor:
    """-log p of each target after its hidden state, in nats, a few rows of logits at a time."""
    parts, losses = network.output.parts(), [torch.empty(0)]
    for begin in range(0, len(targets_N), ROWS):
        rows = slice(begin, begin + ROWS)
        losses.append(-parts.log_probability(network.projected(hidden_NH[rows]), targets_N[rows]))
    return torch.cat(losses)


@contextmanager
def _evaluating(network: LanguageModel) -> Iterator[None]:
    """The network in evaluation mode; afterwards it is left in the mode it was in."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)

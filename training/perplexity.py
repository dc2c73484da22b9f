"""How well a language model predicts a stream: its negative log-likelihood, read in lanes.

The stream is cut into lanes that are read side by side. A lane that begins inside a document first
reads up to RUN_IN tokens before its part, uncounted, so that every counted token but those has at
least that much context; recurrent language models use about half of it. One lane is exact. Shape
suffixes: T time, B lanes, N predictions. Knows no training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from model.networks import LanguageModel
from training.corpus import Stream
from training.objective import ROWS
from training.precision import Precision, autocast

RUN_IN = 512
LANES = 32
LARGEST_LOSS = 700.0  # nats; exp of more is no longer a number
STEPS = 64  # steps read at a time


@dataclass(frozen=True, slots=True)
class Reading:
    """Lanes of a stream: inputs, targets, and which predictions count."""

    inputs_TB: Tensor
    targets_TB: Tensor
    counted_TB: Tensor
    end: int

    @property
    def count(self) -> int:
        """How many predictions count."""
        return int(self.counted_TB.sum())


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


def lay_out(
    stream: Stream, *, lanes: int | None = None, limit: int | None = None, run_in: int = RUN_IN
) -> Reading:
    """Cuts a stream into lanes.

    Args:
        stream: what is read.
        lanes: how many; by default as many as keep the uncounted share small, at most LANES.
        limit: about how many predictions to count, spread evenly over the stream; default all.
        run_in: how many tokens a lane reads first, uncounted, if its document is so long.
    """
    total = len(stream)
    chosen = lanes or max(1, min(LANES, total // (4 * RUN_IN)))
    edges = np.linspace(0, total, min(chosen, total) + 1).astype(np.int64)
    share = 1.0 if limit is None else min(1.0, limit / total)
    parts = [
        _part(stream, int(a), int(a) + max(1, round((b - a) * share)), run_in)
        for a, b in pairwise(edges)
    ]
    steps = max(len(inputs) for inputs, _, _ in parts)
    return Reading(
        torch.stack([_padded(inputs, steps, stream.end) for inputs, _, _ in parts], dim=1),
        torch.stack([_padded(targets, steps, stream.end) for _, targets, _ in parts], dim=1),
        torch.stack([_padded(counted, steps, 0) for _, _, counted in parts], dim=1).bool(),
        stream.end,
    )


@torch.no_grad()
def likelihood(
    network: LanguageModel,
    reading: Reading,
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
    reading: Reading,
    precision: Precision,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> Tensor:
    """-log p of every prediction that counts, in nats and in the order of the stream.

    ``on_progress`` is told the share that is read.
    """
    total = len(reading.counted_TB)
    losses_TB = torch.zeros(reading.counted_TB.shape)
    with _evaluating(network):
        for steps, losses_N in _losses(network, reading, precision):
            losses_TB[steps][reading.counted_TB[steps]] = losses_N
            if on_progress is not None:
                on_progress(min(1.0, steps.stop / total))
    return losses_TB.t()[reading.counted_TB.t()]


def _losses(
    network: LanguageModel, reading: Reading, precision: Precision
) -> Iterator[tuple[slice, Tensor]]:
    """Every few steps: which steps they are, and the losses of those predictions that count."""
    state = network.initial_state(reading.inputs_TB.shape[1])
    for begin in range(0, len(reading.inputs_TB), STEPS):
        steps = slice(begin, begin + STEPS)
        inputs_TB, counted_TB = reading.inputs_TB[steps], reading.counted_TB[steps]
        starts_TB = inputs_TB == reading.end
        with autocast(precision):
            encoded = network.encode(inputs_TB, state, starts_TB if starts_TB.any() else None)
            targets_N = reading.targets_TB[steps][counted_TB]
            losses_N = prediction_losses(network, encoded.raw_TBH[counted_TB], targets_N)
        yield steps, losses_N
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


def _part(stream: Stream, begin: int, end: int, run_in: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, targets and what counts of one lane: positions ``begin`` to ``end``, and a run-in."""
    border = int(stream.borders_D[np.searchsorted(stream.borders_D, begin, side="right") - 1])
    first = max(border, begin - run_in)
    inputs = stream.tokens_N[first:end].copy()
    inputs[0] = stream.end
    targets = stream.tokens_N.take(range(first + 1, end + 1), mode="wrap")
    counted = np.arange(first, end) >= begin
    return torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(counted)


def _padded(values_T: Tensor, steps: int, filling: int) -> Tensor:
    return torch.nn.functional.pad(values_T.long(), (0, steps - len(values_T)), value=filling)

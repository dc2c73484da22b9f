"""The training throughput of this machine, from which the size of a network is chosen.

Processors differ by more than a factor of three, and a network that is too wide for its budget of
minutes sees its data too seldom. The throughput is measured on a few steps of a small network.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from training.runtime.precision import Precision, autocast

TIMED_STEPS = 5
TIMED_SHAPE = (70, 16, 256)  # time, batch and width of the small network
TIMED_VOCABULARY = 3000
EFFICIENCY = 0.9  # the rest is spent on embeddings, candidates and the optimizer


def training_speed(precision: Precision, patience: float) -> float:
    """Measures multiply-adds per second in training, with all of torch's threads.

    Takes a second or two; only two steps where these take longer than ``patience`` seconds. The
    state of the random number generator is left as it was.
    """
    time_steps, batch, width = TIMED_SHAPE
    with torch.random.fork_rng(devices=[]):
        lstm, output = nn.LSTM(width, width, 2), nn.Linear(width, TIMED_VOCABULARY)
        inputs_TBH = torch.randn(time_steps, batch, width)
    seconds: list[float] = []
    while len(seconds) < 2 or (len(seconds) <= TIMED_STEPS and sum(seconds) < patience):
        start = time.perf_counter()
        with autocast(precision):
            loss = output(lstm(inputs_TBH)[0]).float().square().mean()
        loss.backward()
        seconds.append(time.perf_counter() - start)
    multiply_adds = time_steps * batch * width * (4 * 4 * width + TIMED_VOCABULARY)
    return EFFICIENCY * 6 * multiply_adds / statistics.median(seconds[1:])  # the first warms up

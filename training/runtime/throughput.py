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

STEPS = 5
WINDOW, LANES, WIDTH, WORDS = 70, 16, 256, 3000
EFFICIENCY = 0.9  # the rest is spent on embeddings, candidates and the optimizer


def training_speed(precision: Precision, patience: float) -> float:
    """Measures multiply-adds per second in training, with all of torch's threads.

    Takes a second or two; only two steps where these take longer than ``patience`` seconds. The
    state of the random number generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        lstm, output = nn.LSTM(WIDTH, WIDTH, 2), nn.Linear(WIDTH, WORDS)
        inputs_TBH = torch.randn(WINDOW, LANES, WIDTH)
    seconds: list[float] = []
    while len(seconds) < 2 or (len(seconds) <= STEPS and sum(seconds) < patience):
        start = time.perf_counter()
        with autocast(precision):
            loss = output(lstm(inputs_TBH)[0]).float().square().mean()
        loss.backward()
        seconds.append(time.perf_counter() - start)
    multiply_adds = WINDOW * LANES * WIDTH * (4 * 4 * WIDTH + WORDS)
    return EFFICIENCY * 6 * multiply_adds / statistics.median(seconds[1:])  # the first warms up

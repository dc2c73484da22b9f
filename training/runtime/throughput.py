"""How fast this machine trains, so that a budget of minutes can be told in tokens.

Processors differ by more than a factor of three, and a network that is too wide for its minutes is
read too seldom; so a few steps of a small one are timed. Knows no recipe and no data.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from training.runtime.precision import Precision, autocast

STEPS = 5
WINDOW, LANES, WIDTH, WORDS = 70, 16, 256, 3000
REST = 0.9  # of the speed is left where embeddings, candidates and the optimizer take their share


def training_speed(precision: Precision, patience: float) -> float:
    """Additions and multiplications a second in training, with all of torch's threads.

    Takes a second or two, or two steps if these take longer than ``patience`` (seconds). Leaves the
    random numbers as they were.
    """
    with torch.random.fork_rng(devices=[]):
        lstm, words = nn.LSTM(WIDTH, WIDTH, 2), nn.Linear(WIDTH, WORDS)
        values_TBH = torch.randn(WINDOW, LANES, WIDTH)
    seconds: list[float] = []
    while len(seconds) < 2 or (len(seconds) <= STEPS and sum(seconds) < patience):
        began = time.perf_counter()
        with autocast(precision):
            loss = words(lstm(values_TBH)[0]).float().square().mean()
        loss.backward()
        seconds.append(time.perf_counter() - began)
    multiplications = WINDOW * LANES * WIDTH * (4 * 4 * WIDTH + WORDS)
    return REST * 6 * multiplications / statistics.median(seconds[1:])  # the first step prepares

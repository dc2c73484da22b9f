"""Time per step of kernels and of plain torch modules, measured in turns.

A step reads one token for each row and samples the next one at temperature 1 from the whole
vocabulary. Kernels run bursts of steps, as in the service.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch

from benchmarks.harness.kernels import KernelVariant
from benchmarks.harness.statistics import median
from benchmarks.peers.network import PlainNetwork, PlainState
from model.networks import LanguageModel
from service.kernel.api.interface import Kernel, RowWork, Sampling

BURST = 8  # steps of one call; the service has up to 32
PLAIN_TORCH = "plain torch modules"


class Stepper(Protocol):
    """Runs steps of all its rows."""

    def burst(self) -> int:
        """Runs a few steps and returns their number."""


class KernelStepper:
    """A kernel whose rows generate without end."""

    def __init__(self, kernel: Kernel, rows: int) -> None:
        self._kernel = kernel
        self._work = [
            RowWork(
                row=row, feed=[row % 7], sample=BURST, sampling=Sampling(seed=row, logprob=False)
            )
            for row in range(rows)
        ]
        for row in range(rows):
            kernel.open(row)

    def burst(self) -> int:
        """Runs one call of the kernel."""
        for item, result in zip(self._work, self._kernel.run(self._work, BURST), strict=True):
            item.feed = [result.tokens[-1]]
            item.position += BURST
        return BURST


class PlainStepper:
    """Plain torch modules (nn.LSTM, nn.Linear, softmax, multinomial), one step at a time."""

    def __init__(self, network: PlainNetwork, rows: int) -> None:
        self._network = network
        self._tokens_B = torch.arange(rows) % 7
        self._state: PlainState | None = None

    def burst(self) -> int:
        """Runs one step."""
        self._tokens_B, self._state = self._network.step(self._tokens_B, self._state)
        return 1


def make_kernels(
    network: LanguageModel, variants: Sequence[KernelVariant], *, rows: int, threads: int
) -> dict[str, Kernel]:
    """One kernel of each variant, by name. [END] is suppressed, so that no row ends."""
    end = network.architecture.vocabulary - 1
    suppressed = frozenset({end})
    return {
        variant.name: variant.make(
            network, capacity=rows, threads=threads, end=end, suppressed=suppressed
        )
        for variant in variants
    }


def make_steppers(
    kernels: Mapping[str, Kernel], plain: PlainNetwork, rows: int
) -> dict[str, Stepper]:
    """A stepper for each kernel and one for the plain modules, by name."""
    steppers: dict[str, Stepper] = {
        name: KernelStepper(kernel, rows) for name, kernel in kernels.items()
    }
    return {**steppers, PLAIN_TORCH: PlainStepper(plain, rows)}


def seconds_per_step(
    steppers: Mapping[str, Stepper], *, seconds: float, turns: int
) -> dict[str, float]:
    """Measures steppers in turns, after one burst each as a warm-up.

    Args:
        steppers: by name.
        seconds: time of each stepper.
        turns: into which its time is divided.

    Returns:
        Seconds per step by name: the median over turns of the median over bursts.
    """
    for stepper in steppers.values():
        stepper.burst()
    medians: dict[str, list[float]] = {name: [] for name in steppers}
    for _ in range(turns):
        for name, stepper in steppers.items():
            medians[name].append(median(_time_bursts(stepper, seconds / turns)))
    return {name: median(values) for name, values in medians.items()}


def _time_bursts(stepper: Stepper, duration: float) -> list[float]:
    """Seconds per step of each burst within the duration; at least three bursts."""
    times: list[float] = []
    begin = last = time.perf_counter()
    while len(times) < 3 or last - begin < duration:
        steps = stepper.burst()
        now = time.perf_counter()
        times.append((now - last) / steps)
        last = now
    return times

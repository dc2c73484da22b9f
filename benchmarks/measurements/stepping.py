"""Times steps of kernels and of plain torch modules, without HTTP, all in turns.

A step reads one token for each row and draws the next one at temperature 1 from the whole
vocabulary. Kernels are asked for bursts as the service asks for them. Knows no limits.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch

from benchmarks.harness.kernels import KernelKind
from benchmarks.harness.statistics import median
from benchmarks.peers.network import PlainNetwork, PlainState
from model.networks import LanguageModel
from service.kernel.api.interface import Kernel, RowWork, Sampling

BURST = 8  # what the service asks for by default
PLAIN = "plain torch modules"


class Stepper(Protocol):
    """Something that can take steps with all its rows."""

    def burst(self) -> int:
        """Takes a few steps; how many."""


class KernelStepper:
    """A kernel whose rows draw without end."""

    def __init__(self, kernel: Kernel, rows: int) -> None:
        self._kernel = kernel
        self._work = [
            RowWork(row=row, feed=[row % 7], draw=BURST, sampling=Sampling(seed=row, logprob=False))
            for row in range(rows)
        ]
        for row in range(rows):
            kernel.open(row)

    def burst(self) -> int:
        """One call of the kernel."""
        for item, result in zip(self._work, self._kernel.run(self._work, BURST), strict=True):
            item.feed = [result.drawn[-1].token]
            item.position += BURST
        return BURST


class PlainStepper:
    """nn.LSTM, nn.Linear, softmax and multinomial, one step at a time."""

    def __init__(self, network: PlainNetwork, rows: int) -> None:
        self._network = network
        self._tokens_B = torch.arange(rows) % 7
        self._state: PlainState | None = None

    def burst(self) -> int:
        """One step."""
        self._tokens_B, self._state = self._network.step(self._tokens_B, self._state)
        return 1


def make_kernels(
    network: LanguageModel, kinds: Sequence[KernelKind], *, rows: int, threads: int
) -> dict[str, Kernel]:
    """One of each kind, by name. [END] is never drawn, so that no row ever ends."""
    end = network.architecture.vocabulary - 1
    never = frozenset({end})
    return {
        kind.name: kind.make(network, capacity=rows, threads=threads, end=end, never_drawn=never)
        for kind in kinds
    }


def make_steppers(
    kernels: Mapping[str, Kernel], plain: PlainNetwork, rows: int
) -> dict[str, Stepper]:
    """One for each kernel, and the plain one."""
    steppers: dict[str, Stepper] = {
        name: KernelStepper(kernel, rows) for name, kernel in kernels.items()
    }
    return {**steppers, PLAIN: PlainStepper(plain, rows)}


def paces(steppers: Mapping[str, Stepper], *, seconds: float, turns: int) -> dict[str, float]:
    """Seconds per step of each, the median over turns of the median over bursts.

    Each runs for so long, in turns, after a burst that is not counted.
    """
    for stepper in steppers.values():
        stepper.burst()
    found: dict[str, list[float]] = {name: [] for name in steppers}
    for _ in range(turns):
        for name, stepper in steppers.items():
            found[name].append(median(_timed(stepper, seconds / turns)))
    return {name: median(values) for name, values in found.items()}


def _timed(stepper: Stepper, seconds: float) -> list[float]:
    """Seconds per step of each burst within the time; three bursts at least."""
    found: list[float] = []
    begin = last = time.perf_counter()
    while len(found) < 3 or last - begin < seconds:
        steps = stepper.burst()
        now = time.perf_counter()
        found.append((now - last) / steps)
        last = now
    return found

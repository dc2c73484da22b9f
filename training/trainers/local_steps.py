"""Local SGD: each process trains alone, and the weights of all are averaged every few steps.

For processes behind slow links (Stich, 2019). Between two means a process sends nothing, so its
weights and its optimizer differ from those of the others, and a checkpoint holds those of every
process. The mean is taken by torch's ``average_parameters``; its ``PeriodicModelAverager`` has a
step counter of its own, which a resumed run would have to restore. An outer step may follow it
(:mod:`training.optimization.outer_step`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.distributed.algorithms.model_averaging.utils import average_parameters

from training.optimization.outer_step import OuterStep
from training.optimization.weight_averaging import copy_weights
from training.runs.checkpoint import (
    optimizer_tensors,
    restore_optimizer,
    under_prefix,
    with_prefix,
)
from training.runtime.distributed import ProcessGroup, noticing_lost_processes


class LocalSteps:
    """The weights of this process between two means.

    Args:
        network: is averaged in place.
        optimizer: of the network; its moments are not averaged.
        process_group: of this process.
        every: steps between two means; 0 for runs that average gradients.
        outer: the step that is taken on each mean.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        process_group: ProcessGroup,
        every: int,
        outer: OuterStep,
    ) -> None:
        self.active = every > 0 and process_group.size > 1
        self._network = network
        self._optimizer = optimizer
        self._process_group = process_group
        self._every = every
        self._outer = outer
        self._workers: list[Tensor] = []  # of a resumed run, until it joins
        self._joined = False

    def is_due(self, steps: int) -> bool:
        """Whether the weights are averaged after this step."""
        return self.active and steps % self._every == 0

    def average(self) -> None:
        """Gives every process the mean of all weights, or those of the outer step; every process
        calls it.
        """
        everyone = torch.distributed.group.WORLD
        if everyone is not None:
            with noticing_lost_processes():
                average_parameters(self._network.parameters(), everyone)
        self._outer.take()

    def join(self) -> None:
        """Gives this process its weights of a resumed run; every process calls it."""
        self._joined = True
        if self.active:
            self._outer.begin()
        if self._workers and not self._process_group.is_main:
            tensors = load(self._workers[self._process_group.rank - 1].numpy().tobytes())
            copy_weights(self._network, under_prefix("network", tensors))
            restore_optimizer(self._optimizer, under_prefix("optimizer", tensors))

    def by_rank(self) -> dict[str, Tensor]:
        """Weights and moments of the workers by rank, for the main process. After :meth:`join`
        every process calls it together.

        Each is a file of safetensors in a tensor of bytes, since the moments that exist depend on
        the parameters that a process has used.
        """
        if not self.active:
            return {}
        workers = self._gather() if self._joined else self._workers
        return {str(rank): bytes_N for rank, bytes_N in enumerate(workers, start=1)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Keeps :meth:`by_rank` until :meth:`join`."""
        self._workers = [tensors[str(rank)] for rank in range(1, len(tensors) + 1)]

    def _gather(self) -> list[Tensor]:
        """The bytes of the workers; a worker gets an empty list."""
        tensors = with_prefix("network", dict(self._network.named_parameters()))
        tensors |= with_prefix("optimizer", optimizer_tensors(self._optimizer))
        content = save({name: value.detach().contiguous() for name, value in tensors.items()})
        bytes_N = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        sizes = self._process_group.gather(torch.tensor([len(bytes_N)]))
        longest = self._process_group.largest(len(bytes_N))
        padded = nn.functional.pad(bytes_N, (0, longest - len(bytes_N)))
        received = self._process_group.gather(padded)
        return [
            bytes_N[: int(size)].clone() for bytes_N, size in zip(received, sizes, strict=True)
        ][1:]

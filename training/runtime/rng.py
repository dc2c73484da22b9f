"""The states of torch's random number generator in all processes, as a checkpoint holds them.

Until the processes have joined, the main process keeps the states with which the workers begin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.runtime.distributed import ProcessGroup

SEED_STRIDE = 1_000_003  # between the seeds of two ranks


class RandomStates:
    """The generator state of each process.

    Args:
        process_group: of this process.
        seed: of the run; every rank begins with a seed of its own.
    """

    def __init__(self, process_group: ProcessGroup, seed: int) -> None:
        self._process_group = process_group
        self._workers = [_first_state(seed, rank) for rank in range(1, process_group.size)]
        self.joined = False

    def join(self) -> None:
        """Gives the generator of this process its state; every process calls it."""
        self.joined = True
        if not self._process_group.is_main:
            torch.set_rng_state(self._workers[self._process_group.rank - 1])

    def by_rank(self) -> list[Tensor]:
        """The states of all processes. After :meth:`join` every process calls it together."""
        if self.joined:
            return self._process_group.gather(torch.get_rng_state())
        return [torch.get_rng_state(), *self._workers]

    def restore(self, states_PN: Tensor) -> None:
        """Restores :meth:`by_rank`, stacked: P processes, N bytes each."""
        # Copies: torch reads a state from the beginning of the storage, whatever the row.
        main, *self._workers = (state_N.clone() for state_N in states_PN)
        torch.set_rng_state(main)


def _first_state(seed: int, rank: int) -> Tensor:
    """The state with which a rank begins; rank 0 begins as a process alone does."""
    return torch.Generator().manual_seed(seed + SEED_STRIDE * rank).get_state()

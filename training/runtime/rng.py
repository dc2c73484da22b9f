"""The random numbers of all processes of a team, as the checkpoint of a run holds them.

Until the team has joined, the leader keeps those with which the others will begin. Knows neither
networks nor data.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.runtime.distributed import ProcessGroup


class RandomStates:
    """Where the generator of each process stands; ``seed`` decides where they begin."""

    def __init__(self, team: ProcessGroup, seed: int) -> None:
        self._team = team
        self._others = [_first_state(seed, rank) for rank in range(1, team.size)]
        self.joined = False

    def join(self) -> None:
        """Every process goes on with its own; all call it."""
        self.joined = True
        if not self._team.leads:
            torch.set_rng_state(self._others[self._team.rank - 1])

    def by_rank(self) -> list[Tensor]:
        """Of every process, for the leader; once they have joined, all ask for it together."""
        if self.joined:
            return self._team.gather(torch.get_rng_state())
        return [torch.get_rng_state(), *self._others]

    def restore(self, states_PN: Tensor) -> None:
        """Puts back what :meth:`by_rank` was, stacked; P processes, N bytes each."""
        # Copies: torch reads a state from the beginning of the storage, whatever the row.
        own, *self._others = (state_N.clone() for state_N in states_PN)
        torch.set_rng_state(own)


def _first_state(seed: int, rank: int) -> Tensor:
    """With which a process of that rank begins; the leader's is that of a process alone."""
    return torch.Generator().manual_seed(seed + 1_000_003 * rank).get_state()

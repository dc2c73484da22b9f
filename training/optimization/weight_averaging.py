"""The running average of a network's weights over the last part of a run.

Averaging what the optimizer passes through late in a run finds flatter, better weights than where
it happens to stop (Polyak and Juditsky, 1992; Merity et al., 2018). Knows no optimizer and no data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class AveragedWeights:
    """The mean of every parameter over the calls of :meth:`update`."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self.count = 0
        self._means: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self) -> None:
        """Takes the weights as they are now into the mean."""
        self.count += 1
        parameters = dict(self._network.named_parameters())
        if not self._means:
            self._means = {name: value.detach().clone() for name, value in parameters.items()}
            return
        torch._foreach_lerp_(  # one call for all parameters
            list(self._means.values()), [parameters[name] for name in self._means], 1.0 / self.count
        )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the means in the network's place of its own weights for the length of a block."""
        parameters = dict(self._network.named_parameters())
        own = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        _copy(parameters, self._means)
        try:
            yield
        finally:
            _copy(parameters, own)

    def tensors(self) -> dict[str, Tensor]:
        """The means by parameter name; empty before the first update."""
        return dict(self._means)

    def restore(self, tensors: dict[str, Tensor], count: int) -> None:
        """Puts back what :meth:`tensors` and ``count`` were."""
        self._means = {name: tensor.clone() for name, tensor in tensors.items()}
        self.count = count


@torch.no_grad()
def _copy(parameters: dict[str, nn.Parameter], values: dict[str, Tensor]) -> None:
    for name, value in values.items():
        parameters[name].copy_(value)

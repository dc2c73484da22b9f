"""The running average of a network's weights over the last part of a run.

The average of the weights late in a run is flatter and better than the last weights (Polyak and
Juditsky, 1992; Merity et al., 2018). torch's AveragedModel holds a second network from the first
step on and evaluates that one; here one network takes the averaged weights for an evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class AveragedWeights:
    """The mean of every parameter of ``network`` over the calls of :meth:`update`."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self.count = 0
        self._means: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self) -> None:
        """Adds the present weights to the mean."""
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
        """A block in which the network has the averaged weights."""
        weights = {name: value.detach().clone() for name, value in self._network.named_parameters()}
        copy_weights(self._network, self._means)
        try:
            yield
        finally:
            copy_weights(self._network, weights)

    def tensors(self) -> dict[str, Tensor]:
        """The means by parameter name; empty before the first update."""
        return dict(self._means)

    def restore(self, tensors: Mapping[str, Tensor], count: int) -> None:
        """Restores :meth:`tensors` and ``count``."""
        self._means = {name: tensor.clone() for name, tensor in tensors.items()}
        self.count = count


@torch.no_grad()
def copy_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copies a value into every parameter of a network, by parameter name."""
    for name, parameter in network.named_parameters():
        parameter.copy_(weights[name])

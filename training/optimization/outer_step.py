"""The outer step of DiLoCo on the mean of the weights of all processes.

Processes that train alone move from common weights, the anchor, to different ones. Plain local SGD
goes on from the mean of these. DiLoCo (Douillard et al., 2023) takes the way from the anchor to the
mean as a gradient, and moves the anchor by SGD with Nesterov momentum. Every process computes the
same step from the same mean, so nothing further is sent.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from training.optimization.weight_averaging import copy_weights


class OuterStep:
    """Moves the anchor of a network; the same in every process.

    Args:
        network: has the mean of all weights when a step is taken.
        learning_rate: 1 without momentum goes to the mean itself.
        momentum: 0.9 in the paper, with a learning rate of 0.7; 0 for none.
    """

    def __init__(self, network: nn.Module, *, learning_rate: float, momentum: float) -> None:
        self._network = network
        self._learning_rate = learning_rate
        self._momentum = momentum
        self._anchor: dict[str, Tensor] = {}
        self._velocity: dict[str, Tensor] = {}

    @property
    def active(self) -> bool:
        """Whether a step differs from the plain mean."""
        return self._momentum > 0.0 or self._learning_rate != 1.0

    def begin(self) -> None:
        """Makes the present weights the anchor, unless one was restored."""
        if self.active and not self._anchor:
            weights = dict(self._network.named_parameters())
            self._anchor = {name: value.detach().clone() for name, value in weights.items()}
            self._velocity = {name: torch.zeros_like(value) for name, value in weights.items()}

    @torch.no_grad()
    def take(self) -> None:
        """Moves the anchor toward the network's weights, and gives the network those of the anchor.

        The step is that of ``torch.optim.SGD(nesterov=True)``, whose state is not one tensor for
        each parameter name, as checkpoints have it.
        """
        if not self.active:
            return
        for name, mean in self._network.named_parameters():
            anchor, velocity = self._anchor[name], self._velocity[name]
            gradient = anchor - mean
            velocity.mul_(self._momentum).add_(gradient)
            anchor.sub_(gradient + self._momentum * velocity, alpha=self._learning_rate)
        copy_weights(self._network, self._anchor)

    def tensors(self) -> dict[str, Tensor]:
        """Anchor and velocity for a checkpoint; empty before :meth:`begin`."""
        anchor = {f"anchor.{name}": value for name, value in self._anchor.items()}
        return anchor | {f"velocity.{name}": value for name, value in self._velocity.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restores :meth:`tensors`."""
        for kind, values in (("anchor.", self._anchor), ("velocity.", self._velocity)):
            values |= {
                name.removeprefix(kind): tensor.clone()
                for name, tensor in tensors.items()
                if name.startswith(kind)
            }

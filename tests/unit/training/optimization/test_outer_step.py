"""The outer step of DiLoCo."""

from __future__ import annotations

import torch
from torch import nn

from training.optimization.outer_step import OuterStep


def moved(network: nn.Module, step: int) -> None:
    """Gives the network the weights that a mean could have after a round."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))


def test_steps_are_those_of_torch() -> None:
    """Anchors equal those of SGD with Nesterov momentum, also after a restored checkpoint."""
    network, expected = nn.Linear(3, 2), nn.Linear(3, 2)
    expected.load_state_dict(network.state_dict())
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.7, momentum=0.9, nesterov=True)
    outer = OuterStep(network, learning_rate=0.7, momentum=0.9)
    outer.begin()
    for step in range(4):
        moved(network, step)
        for own, mean in zip(expected.parameters(), network.parameters(), strict=True):
            own.grad = own.detach() - mean.detach()
        outer.take()
        optimizer.step()
        torch.testing.assert_close(network.state_dict(), expected.state_dict())
        saved = outer.tensors()
        outer = OuterStep(network, learning_rate=0.7, momentum=0.9)
        outer.restore(saved)
        outer.begin()


def test_the_plain_mean_needs_nothing() -> None:
    """Without momentum and with a learning rate of 1, the network keeps the mean."""
    network = nn.Linear(3, 2)
    outer = OuterStep(network, learning_rate=1.0, momentum=0.0)
    outer.begin()
    moved(network, 0)
    mean = {name: value.clone() for name, value in network.state_dict().items()}
    outer.take()
    torch.testing.assert_close(network.state_dict(), mean, rtol=0, atol=0)
    assert outer.tensors() == {}

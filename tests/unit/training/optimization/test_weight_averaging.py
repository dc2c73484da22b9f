"""The running average of weights."""

import pytest
import torch

from training.optimization.weight_averaging import AveragedWeights


def test_the_average_is_the_mean_of_what_it_saw() -> None:
    """The average is the mean; the network has its own weights again, also after an error."""
    layer = torch.nn.Linear(2, 1)
    averages = AveragedWeights(layer)
    seen = []
    for _ in range(5):
        with torch.no_grad():
            layer.weight.add_(torch.randn(1, 2))
        seen.append(layer.weight.detach().clone())
        averages.update()
    with averages.applied():
        torch.testing.assert_close(layer.weight.detach(), torch.stack(seen).mean(dim=0))
    assert torch.equal(layer.weight, seen[-1])
    with pytest.raises(RuntimeError, match="stop"), averages.applied():
        raise RuntimeError("stop")
    assert torch.equal(layer.weight, seen[-1])


def test_a_restored_average_goes_on() -> None:
    """A restored average continues like one that was never saved."""
    layer = torch.nn.Linear(2, 1)
    unbroken, saved = AveragedWeights(layer), AveragedWeights(layer)
    unbroken.update()
    saved.restore(unbroken.tensors(), unbroken.count)
    with torch.no_grad():
        layer.weight.add_(1.0)
    unbroken.update()
    saved.update()
    assert torch.equal(saved.tensors()["weight"], unbroken.tensors()["weight"])


def test_tied_weights_stay_tied() -> None:
    """Tied weights are averaged once and stay one parameter."""
    model = torch.nn.ModuleDict({"a": torch.nn.Embedding(3, 2), "b": torch.nn.Linear(2, 3)})
    model["b"].weight = model["a"].weight
    averages = AveragedWeights(model)
    averages.update()
    assert set(averages.tensors()) == {"a.weight", "b.bias"}
    with averages.applied():
        assert model["b"].weight is model["a"].weight

"""Classification in slices against the network's own forward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.architecture import CELLS, Cell, ClassifierArchitecture, Pooling
from model.networks import Classifier
from service.kernel.classifier_kernel import ClassifierKernel, FloatArray


def random_classifier(
    cell: Cell, *, bidirectional: bool = True, pooling: Pooling = "last_max_mean"
) -> Classifier:
    """Two layers, four labels, random weights."""
    torch.manual_seed(1)
    network = Classifier(
        ClassifierArchitecture(
            cell=cell,
            vocabulary=40,
            embedding=10,
            hidden=14,
            layers=2,
            bidirectional=bidirectional,
            pooling=pooling,
            mlp=9,
            labels=4,
        )
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return network.eval()


def documents(count: int) -> list[list[int]]:
    """Random documents of 1 to 30 tokens."""
    generator = np.random.default_rng(count)
    return [
        generator.integers(0, 40, length).tolist() for length in generator.integers(1, 31, count)
    ]


def classify(kernel: ClassifierKernel, batch: list[list[int]]) -> tuple[FloatArray, int]:
    """Logits and the number of slices."""
    slices = kernel.classify(batch)
    count = 0
    while True:
        try:
            next(slices)
        except StopIteration as finished:
            return finished.value, count
        count += 1


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "last_max_mean"])
def test_logits_do_not_depend_on_neighbours_or_slices(
    cell: Cell, bidirectional: bool, pooling: Pooling
) -> None:
    """Alone or in a batch, in small slices or whole: within 1e-6; as the network says itself."""
    network = random_classifier(cell, bidirectional=bidirectional, pooling=pooling)
    batch = documents(13)
    kernel = ClassifierKernel(network, slice_tokens=70)
    logits_BC, _ = classify(kernel, batch)
    whole_BC, _ = classify(ClassifierKernel(network, slice_tokens=10**6), batch)
    assert logits_BC.shape == (13, 4)
    np.testing.assert_allclose(logits_BC, whole_BC, atol=1e-6, rtol=0)
    for row, document in enumerate(batch):
        alone_1C, _ = classify(kernel, [document])
        np.testing.assert_allclose(logits_BC[row], alone_1C[0], atol=1e-6, rtol=0)
        with torch.no_grad():
            exact_C = network(torch.tensor(document)[:, None], torch.tensor([len(document)]))[0]
        np.testing.assert_allclose(logits_BC[row], exact_C, atol=1e-5, rtol=0)


def test_slices_are_bounded() -> None:
    """A long document is read in stretches of the slice's length, in each direction and layer."""
    kernel = ClassifierKernel(random_classifier("lstm"), slice_tokens=80)
    _, slices = classify(kernel, [[1] * 1000])
    assert slices == 2 * 2 * 1000 * 8 // 80

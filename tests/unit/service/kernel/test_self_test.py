"""The self-test: right kernels pass, and wrong ones are found."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import torch

from model.architecture import CELLS, Cell, ClassifierArchitecture
from model.artifact import weights_of
from model.networks import Classifier, LanguageModel
from service.kernel.api.interface import ClassifierKernel, Kernel
from service.kernel.api.packing import KernelPrecision
from service.kernel.factory import make_classifier_kernel, make_kernel
from service.kernel.self_test import SelfTestError, check_classifier, check_language_model
from tests.support.service.reference import random_network

END, SUPPRESSED = 0, (1,)


def kernel_of(
    network: LanguageModel, precision: KernelPrecision, suppressed: Collection[int] = SUPPRESSED
) -> Kernel:
    """A native kernel of four rows."""
    return make_kernel(
        weights_of(network),
        kernel="native",
        precision=precision,
        threads=1,
        capacity=4,
        end=END,
        suppressed=suppressed,
    )


def classifier(seed: int) -> Classifier:
    """A classifier of three labels with random weights."""
    torch.manual_seed(seed)
    network = Classifier(
        ClassifierArchitecture(
            cell="gru", vocabulary=30, embedding=8, hidden=10, layers=1, mlp=6, labels=3
        )
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return network.eval()


def classifier_kernel_of(network: Classifier, precision: KernelPrecision) -> ClassifierKernel:
    """A native kernel."""
    return make_classifier_kernel(
        weights_of(network), kernel="native", precision=precision, threads=1, slice_tokens=512
    )


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("cutoffs", [(), (5, 12)])
def test_right_kernels_pass(
    cell: Cell, precision: KernelPrecision, cutoffs: tuple[int, ...]
) -> None:
    """Kernels of every cell, precision and softmax agree with their network."""
    division = 2 if cutoffs else None
    network = random_network(cell, 2, cutoffs=cutoffs, division=division, scale=0.4)
    check_language_model(
        kernel_of(network, precision), weights_of(network), END, exact=precision == "float32"
    )


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_the_kernel_of_another_network_fails(precision: KernelPrecision) -> None:
    """A kernel that computes another network is found in either precision."""
    network, other = (random_network("lstm", 2, seed=seed, scale=1.5) for seed in (0, 1))
    with pytest.raises(SelfTestError, match="log-probabilities"):
        check_language_model(
            kernel_of(other, precision), weights_of(network), END, exact=precision == "float32"
        )


def test_a_text_that_ends_at_once_is_enough() -> None:
    """[END] as the first token is compared, too."""
    network = random_network("gru", 1)
    with torch.no_grad():
        network.output.bias[END] = 100.0
    check_language_model(kernel_of(network, "float32"), weights_of(network), END, exact=True)


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_classifiers_are_compared(precision: KernelPrecision) -> None:
    """The kernel of a classifier passes with its own network and fails with another one."""
    exact = precision == "float32"
    check_classifier(
        classifier_kernel_of(classifier(0), precision), weights_of(classifier(0)), exact=exact
    )
    with pytest.raises(SelfTestError, match="probability of a label"):
        check_classifier(
            classifier_kernel_of(classifier(5), precision), weights_of(classifier(0)), exact=exact
        )

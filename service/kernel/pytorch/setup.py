"""Makes the kernels in PyTorch from weights as arrays."""

from __future__ import annotations

from collections.abc import Collection

import torch

from model.architecture import ClassifierArchitecture, LanguageModelArchitecture
from model.artifact import network_of
from model.networks import Classifier, LanguageModel
from model.storage.weights import Weights
from service.kernel.pytorch.classifier import TorchClassifierKernel
from service.kernel.pytorch.kernel import TorchKernel


def language_model(
    weights: Weights[LanguageModelArchitecture],
    *,
    capacity: int,
    end: int,
    suppressed: Collection[int],
) -> TorchKernel:
    """The kernel of a language model."""
    network = network_of(weights)
    assert isinstance(network, LanguageModel)
    return TorchKernel(network, capacity=capacity, end=end, suppressed=suppressed)


def classifier(
    weights: Weights[ClassifierArchitecture], slice_tokens: int
) -> TorchClassifierKernel:
    """The kernel of a classifier."""
    network = network_of(weights)
    assert isinstance(network, Classifier)
    return TorchClassifierKernel(network, slice_tokens)


def use_threads(threads: int) -> None:
    """Set the number of torch's threads in the calling thread."""
    torch.set_num_threads(threads)

"""Which kernel serves a language model: the native one where it was built, else torch's.

Knows the settings' words for kernels and no requests.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Literal

from model.networks import Classifier, LanguageModel
from service.kernel.api.interface import ClassifierKernel, Kernel
from service.kernel.api.packing import Precision
from service.kernel.native.classifier import NativeClassifierKernel
from service.kernel.native.kernel import NativeKernel
from service.kernel.native.library import NativeMissing, instruction_set
from service.kernel.pytorch.classifier import TorchClassifierKernel
from service.kernel.pytorch.kernel import TorchKernel

KernelName = Literal["auto", "native", "torch"]

logger = logging.getLogger(__name__)


def resolve(kernel: KernelName) -> Literal["native", "torch"]:
    """What "auto" means here, with a warning where it is the slower one.

    Raises NativeMissing when the native kernel is asked for by name and cannot be had.
    """
    if kernel == "torch":
        return "torch"
    try:
        logger.info("the native kernel runs on %s", instruction_set())
    except NativeMissing as missing:
        if kernel == "native":
            raise
        logger.warning("serving with the torch kernel, many times slower: %s", missing)
        return "torch"
    return "native"


def make_kernel(
    network: LanguageModel,
    *,
    kernel: Literal["native", "torch"],
    precision: Precision,
    threads: int,
    capacity: int,
    end: int,
    never_drawn: Collection[int],
) -> Kernel:
    """A kernel for one language model; torch's computes in float32 whatever ``precision`` says."""
    if kernel == "torch":
        return TorchKernel(network, capacity=capacity, end=end, never_drawn=never_drawn)
    return NativeKernel(
        network,
        capacity=capacity,
        end=end,
        never_drawn=never_drawn,
        threads=threads,
        precision=precision,
    )


def make_classifier_kernel(
    network: Classifier,
    *,
    kernel: Literal["native", "torch"],
    precision: Precision,
    threads: int,
    slice_tokens: int,
) -> ClassifierKernel:
    """The same for a classifier."""
    if kernel == "torch":
        return TorchClassifierKernel(network, slice_tokens)
    return NativeClassifierKernel(network, slice_tokens, threads=threads, precision=precision)

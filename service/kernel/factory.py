"""The choice of a kernel: the native one if it was built, else the one in PyTorch.

torch is imported when its kernel is made. It takes more than a second and 200 MB, and the native
kernel does not need it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Literal

from model.architecture import ClassifierArchitecture, LanguageModelArchitecture
from model.storage.weights import Weights
from service.kernel.api.interface import ClassifierKernel, Kernel
from service.kernel.api.packing import KernelPrecision
from service.kernel.native.classifier import NativeClassifierKernel
from service.kernel.native.kernel import NativeKernel
from service.kernel.native.library import NativeMissing, instruction_set

KernelName = Literal["auto", "native", "torch"]

logger = logging.getLogger(__name__)


def resolve_kernel(kernel: KernelName) -> Literal["native", "torch"]:
    """The kernel that "auto" selects, with a warning if it is the slower one.

    Raises NativeMissing if the native kernel is selected by name and cannot be loaded.
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
    weights: Weights[LanguageModelArchitecture],
    *,
    kernel: Literal["native", "torch"],
    precision: KernelPrecision,
    threads: int,
    capacity: int,
    end: int,
    suppressed: Collection[int],
) -> Kernel:
    """A kernel for one language model. The torch kernel is always float32."""
    if kernel == "torch":
        from service.kernel.pytorch import setup  # noqa: PLC0415

        return setup.language_model(weights, capacity=capacity, end=end, suppressed=suppressed)
    return NativeKernel(
        weights,
        capacity=capacity,
        end=end,
        suppressed=suppressed,
        threads=threads,
        precision=precision,
    )


def make_classifier_kernel(
    weights: Weights[ClassifierArchitecture],
    *,
    kernel: Literal["native", "torch"],
    precision: KernelPrecision,
    threads: int,
    slice_tokens: int,
) -> ClassifierKernel:
    """A kernel for one classifier."""
    if kernel == "torch":
        from service.kernel.pytorch import setup  # noqa: PLC0415

        return setup.classifier(weights, slice_tokens)
    return NativeClassifierKernel(weights, slice_tokens, threads=threads, precision=precision)


def use_threads(kernel: Literal["native", "torch"], threads: int) -> None:
    """Set the number of threads of the kernels that the calling thread runs. A native kernel has
    its own number.
    """
    if kernel == "torch":
        from service.kernel.pytorch import setup  # noqa: PLC0415

        setup.use_threads(threads)

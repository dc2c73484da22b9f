"""The kernels to measure: the native kernel in int8 and float32 if it is built, and torch."""

import os
from dataclasses import dataclass
from typing import Literal

import torch

from model.architecture import GATE_BLOCKS, LanguageModelArchitecture
from model.artifact import weights_of
from model.networks import LanguageModel
from service.kernel.api.interface import Kernel
from service.kernel.api.packing import KernelPrecision, padded
from service.kernel.factory import make_kernel
from service.kernel.native.kernel import TABLE_BYTES
from service.kernel.native.library import NativeMissing, instruction_set


@dataclass(frozen=True)
class KernelVariant:
    """A kernel and the precision of its weights."""

    name: str
    kernel: Literal["native", "torch"]
    precision: KernelPrecision

    @property
    def bytes_per_weight(self) -> int:
        """Bytes of one weight."""
        return 1 if self.precision == "int8" else 4

    def looks_up(self, architecture: LanguageModelArchitecture) -> bool:
        """Whether the kernel reads the first layer's input products from a table."""
        row = GATE_BLOCKS[architecture.cell] * padded(architecture.hidden)
        return self.kernel == "native" and 4 * architecture.vocabulary * row <= TABLE_BYTES

    def make(
        self,
        network: LanguageModel,
        *,
        capacity: int,
        threads: int,
        end: int,
        suppressed: frozenset[int] = frozenset(),
    ) -> Kernel:
        """Builds the kernel.

        Args:
            network: the language model.
            capacity: number of rows.
            threads: of the kernel. torch's threads are set for the whole process.
            end: id of [END].
            suppressed: ids that are never generated.
        """
        torch.set_num_threads(threads)
        return make_kernel(
            weights_of(network),
            kernel=self.kernel,
            precision=self.precision,
            threads=threads,
            capacity=capacity,
            end=end,
            suppressed=suppressed,
        )


NATIVE_INT8 = KernelVariant("native int8", "native", "int8")
NATIVE_FLOAT32 = KernelVariant("native float32", "native", "float32")
TORCH = KernelVariant("torch kernel", "torch", "float32")


def describe_served_kernel() -> str:
    """The kernel of the service, by its environment variables and the available library."""
    precision = os.environ.get("UNROLL_PRECISION", "") or "int8"
    try:
        instructions = instruction_set()
    except NativeMissing as error:
        return f"the torch kernel ({error})"
    if os.environ.get("UNROLL_KERNEL") == "torch":
        return "the torch kernel"
    return f"the native kernel, {precision}, {instructions}"


def available_kernels() -> list[KernelVariant]:
    """The available kernels, fastest first; prints why the native one is missing."""
    try:
        instruction_set()
    except NativeMissing as error:
        print(f"Only the torch kernel is measured: {error}", flush=True)
        return [TORCH]
    return [NATIVE_INT8, NATIVE_FLOAT32, TORCH]

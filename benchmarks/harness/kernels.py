"""Which kernels there are to measure: the native one in both precisions if it was built, and torch.

The only file of the benchmarks that chooses a kernel. Knows nothing of how they are measured.
"""

import os
from dataclasses import dataclass
from typing import Literal

import torch

from model.architecture import GATE_BLOCKS, LanguageModelArchitecture
from model.networks import LanguageModel
from service.kernel.api.interface import Kernel
from service.kernel.api.packing import Precision, padded
from service.kernel.factory import make_kernel
from service.kernel.native.kernel import TABLE_BYTES
from service.kernel.native.library import NativeMissing, instruction_set


@dataclass(frozen=True)
class KernelKind:
    """A kernel that can be made here, and how it holds weights."""

    name: str
    kernel: Literal["native", "torch"]
    precision: Precision

    @property
    def bytes_per_weight(self) -> int:
        """int8 or float32."""
        return 1 if self.precision == "int8" else 4

    def looks_up(self, architecture: LanguageModelArchitecture) -> bool:
        """Whether products of the first layer's inputs are looked up, not computed."""
        row = GATE_BLOCKS[architecture.cell] * padded(architecture.hidden)
        return self.kernel == "native" and 4 * architecture.vocabulary * row <= TABLE_BYTES

    def make(
        self,
        network: LanguageModel,
        *,
        capacity: int,
        threads: int,
        end: int,
        never_drawn: frozenset[int] = frozenset(),
    ) -> Kernel:
        """A kernel with so many rows; torch's threads are set for the whole process."""
        torch.set_num_threads(threads)
        return make_kernel(
            network,
            kernel=self.kernel,
            precision=self.precision,
            threads=threads,
            capacity=capacity,
            end=end,
            never_drawn=never_drawn,
        )


NATIVE_INT8 = KernelKind("native int8", "native", "int8")
NATIVE_FLOAT32 = KernelKind("native float32", "native", "float32")
TORCH = KernelKind("torch kernel", "torch", "float32")


def served() -> str:
    """What the service runs on here: by its own environment variables, and what was built."""
    precision = os.environ.get("UNROLL_PRECISION", "") or "int8"
    try:
        instructions = instruction_set()
    except NativeMissing as missing:
        return f"the torch kernel ({missing})"
    if os.environ.get("UNROLL_KERNEL") == "torch":
        return "the torch kernel"
    return f"the native kernel, {precision}, {instructions}"


def available() -> list[KernelKind]:
    """Fastest first; without the native kernel a line says why."""
    try:
        instruction_set()
    except NativeMissing as missing:
        print(f"Only the torch kernel is measured: {missing}", flush=True)
        return [TORCH]
    return [NATIVE_INT8, NATIVE_FLOAT32, TORCH]

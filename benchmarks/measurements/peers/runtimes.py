"""Time per step of the native kernel and of other runtimes with the same weights, in turns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness.kernels import NATIVE_INT8
from benchmarks.harness.presets import PRESETS
from benchmarks.harness.untrained_artifact import untrained_network
from benchmarks.measurements.stepping import (
    PLAIN_TORCH,
    KernelStepper,
    PlainStepper,
    Stepper,
    make_kernels,
    seconds_per_step,
)
from benchmarks.peers.network import PlainNetwork, plain_from
from benchmarks.peers.runtimes import (
    PeerMissingError,
    RuntimeStepper,
    Step,
    export,
    onnxruntime_int8,
    openvino_float32,
    torch_int8,
)
from model.networks import LanguageModel

NATIVE = "Unroll, int8"
ONNXRUNTIME, OPENVINO, TORCH = "onnxruntime, int8", "OpenVINO, float32", "torch, dynamic int8"
WITHOUT_SAMPLER = " (no sampler)"


@dataclass(frozen=True)
class RuntimePlan:
    """Combinations to measure. Each runtime takes ``seconds``, divided into ``turns``."""

    size: str
    rows: Sequence[int]
    threads: Sequence[int]
    seconds: float
    turns: int
    scratch: Path


@dataclass(frozen=True, kw_only=True)
class RuntimeSpeed:
    """A runtime with this many rows and threads. ``ratio``: its time by that of the kernel."""

    runtime: str
    rows: int
    threads: int
    milliseconds_per_step: float
    ratio: float


def measure_all(plan: RuntimePlan) -> tuple[list[RuntimeSpeed], list[str]]:
    """The speeds, and why runtimes were skipped."""
    network = untrained_network(PRESETS[plan.size])
    plain = plain_from(network)
    skipped: dict[str, None] = {}
    speeds = []
    for threads in plan.threads:
        steps = _steps(plan, plain, threads, skipped)
        for rows in plan.rows:
            steppers = _steppers(network, plain, steps, rows, threads)
            seconds = seconds_per_step(steppers, seconds=plan.seconds, turns=plan.turns)
            for name, value in seconds.items():
                speeds.append(
                    RuntimeSpeed(
                        runtime=name,
                        rows=rows,
                        threads=threads,
                        milliseconds_per_step=1e3 * value,
                        ratio=value / seconds[NATIVE],
                    )
                )
            print(f"{threads} threads, {rows} rows: {len(seconds)} runtimes measured", flush=True)
    return speeds, list(skipped)


def _steps(
    plan: RuntimePlan, plain: PlainNetwork, threads: int, skipped: dict[str, None]
) -> dict[str, Step]:
    makers: dict[str, Callable[[], Step]] = {
        ONNXRUNTIME: lambda: onnxruntime_int8(export(plain, plan.scratch), threads),
        OPENVINO: lambda: openvino_float32(export(plain, plan.scratch), threads),
        TORCH: lambda: torch_int8(plain, threads),
    }
    steps = {}
    for name, make in makers.items():
        try:
            steps[name] = make()
        except PeerMissingError as error:
            skipped[f"{name}: skipped, {error}."] = None
    return steps


def _steppers(
    network: LanguageModel,
    plain: PlainNetwork,
    steps: dict[str, Step],
    rows: int,
    threads: int,
) -> dict[str, Stepper]:
    kernels = make_kernels(network, [NATIVE_INT8], rows=rows, threads=threads)
    steppers: dict[str, Stepper] = {NATIVE: KernelStepper(kernels[NATIVE_INT8.name], rows)}
    shape = plain.recurrent.num_layers, rows, plain.recurrent.hidden_size
    for name, step in steps.items():
        zeros = torch.zeros(shape) if name == TORCH else np.zeros(shape, np.float32)
        for samples in (True, False):
            label = name if samples else name + WITHOUT_SAMPLER
            steppers[label] = RuntimeStepper(step, (zeros, zeros), rows, samples=samples)
    steppers[PLAIN_TORCH] = PlainStepper(plain, rows)
    return steppers

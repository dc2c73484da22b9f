"""Speed of the kernels by size, cell, rows and threads, and the machine's limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.kernels import KernelVariant, available_kernels
from benchmarks.harness.presets import preset
from benchmarks.harness.untrained_artifact import untrained_network
from benchmarks.measurements.stepping import make_kernels, make_steppers, seconds_per_step
from benchmarks.peers.network import PlainNetwork, plain_from
from benchmarks.roofline.bounds import StepBound, step_bound, weights_per_step
from benchmarks.roofline.probe import RooflineLimits, best_limits, run_probe
from model.architecture import Cell, LanguageModelArchitecture
from model.networks import LanguageModel

# Sizes of arrays that fit into the second-level cache, and into no cache, of common processors.
CACHE_BYTES, MEMORY_BYTES = 2**19, 2**28


@dataclass(frozen=True)
class KernelPlan:
    """Combinations to measure. Each measurement takes ``seconds``, divided into ``turns``."""

    sizes: Sequence[str]
    cells: Sequence[Cell]
    rows: Sequence[int]
    threads: Sequence[int]
    seconds: float
    turns: int


@dataclass(frozen=True, kw_only=True)
class KernelSpeed:
    """The speed of one kernel at one size, cell, number of rows and number of threads.

    ``limit_share`` is the ratio to the machine's limit, and ``limit_by`` the resource that sets it
    (None: unknown).
    """

    size: str
    cell: Cell
    rows: int
    threads: int
    kernel: str
    milliseconds_per_step: float
    tokens_per_second: float
    weights: int
    limit_share: float | None
    limit_by: str | None


def measure_limits(
    program: Path, plan: KernelPlan, variants: Sequence[KernelVariant]
) -> list[RooflineLimits]:
    """For each number of threads the peaks, and the read rates of all sizes of weights."""
    sizes = {
        weights_of(variant, preset(size, cell)) * width
        for size in plan.sizes
        for cell in plan.cells
        for variant, width in [(None, 4), *((item, item.bytes_per_weight) for item in variants)]
    }
    all_sizes = sorted({*sizes, CACHE_BYTES, MEMORY_BYTES})
    return [run_probe(program, threads, plan.seconds, all_sizes) for threads in plan.threads]


def measure_kernels(
    plan: KernelPlan, program: Path | None
) -> tuple[list[KernelSpeed], list[RooflineLimits]]:
    """Measures all combinations of a plan.

    Args:
        plan: the combinations.
        program: the compiled probe of the machine's limits, or None for no limits.

    Returns:
        The speeds, and the limits for each number of threads: the better ones of a measurement
        before and one after the speeds.
    """
    variants = available_kernels()
    before = measure_limits(program, plan, variants) if program else []
    times = [
        time
        for size in plan.sizes
        for cell in plan.cells
        for time in _times(plan, variants, size, cell)
    ]
    after = measure_limits(program, plan, variants) if program else []
    limits = [best_limits(pair) for pair in zip(before, after, strict=True)]
    return [_speed(time, variants, limits) for time in times], limits


def weights_of(variant: KernelVariant | None, architecture: LanguageModelArchitecture) -> int:
    """Weights that a kernel (None: plain torch modules) multiplies in a step."""
    looked_up = variant is not None and variant.looks_up(architecture)
    return weights_per_step(architecture, looked_up=looked_up)


@dataclass(frozen=True)
class _StepTime:
    size: str
    cell: Cell
    rows: int
    threads: int
    kernel: str
    seconds: float


def _times(
    plan: KernelPlan, variants: Sequence[KernelVariant], size: str, cell: Cell
) -> list[_StepTime]:
    network = untrained_network(preset(size, cell))
    plain = plain_from(network)
    times = []
    for threads in plan.threads:
        times += _times_with_threads(plan, variants, network, plain, (size, cell, threads))
        print(f"{size:7} {cell:5} {threads} threads", *map(_progress, times[-4:]), flush=True)
    return times


def _times_with_threads(
    plan: KernelPlan,
    variants: Sequence[KernelVariant],
    network: LanguageModel,
    plain: PlainNetwork,
    combination: tuple[str, Cell, int],
) -> list[_StepTime]:
    size, cell, threads = combination
    kernels = make_kernels(network, variants, rows=max(plan.rows), threads=threads)
    return [
        _StepTime(size, cell, rows, threads, name, seconds)
        for rows in plan.rows
        for name, seconds in seconds_per_step(
            make_steppers(kernels, plain, rows), seconds=plan.seconds, turns=plan.turns
        ).items()
    ]


def _progress(time: _StepTime) -> str:
    return f"| {time.kernel} {time.rows} rows {1e3 * time.seconds:.3f} ms"


def _speed(
    time: _StepTime, variants: Sequence[KernelVariant], limits: Sequence[RooflineLimits]
) -> KernelSpeed:
    variant = next((item for item in variants if item.name == time.kernel), None)
    weights = weights_of(variant, preset(time.size, time.cell))
    width = 4 if variant is None else variant.bytes_per_weight
    thread_limits = next((item for item in limits if item.threads == time.threads), None)
    bound: StepBound | None = None
    if thread_limits is not None:
        bound = step_bound(thread_limits, weights, width, time.rows)
    return KernelSpeed(
        size=time.size,
        cell=time.cell,
        rows=time.rows,
        threads=time.threads,
        kernel=time.kernel,
        milliseconds_per_step=1e3 * time.seconds,
        tokens_per_second=time.rows / time.seconds,
        weights=weights,
        limit_share=None if bound is None else bound.share(time.seconds),
        limit_by=None if bound is None else bound.by,
    )

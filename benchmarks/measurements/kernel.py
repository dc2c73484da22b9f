"""The kernels over sizes, cells, rows and threads, and what the machine could do at most.

Knows no HTTP and no tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.kernels import KernelKind, available
from benchmarks.harness.presets import sized
from benchmarks.harness.untrained_artifact import untrained
from benchmarks.measurements.stepping import make_kernels, make_steppers, paces
from benchmarks.peers.network import PlainNetwork, plain_from
from benchmarks.roofline.bounds import Bound, bound, weights_per_step
from benchmarks.roofline.probe import Limits, best, measured
from model.architecture import Cell, LanguageModelArchitecture
from model.networks import LanguageModel

CACHE_BYTES, MEMORY_BYTES = 2**19, 2**28  # within anyone's second level; beyond anyone's last one


@dataclass(frozen=True)
class SpeedPlan:
    """What is measured; ``seconds`` for each figure, in so many turns."""

    sizes: Sequence[str]
    cells: Sequence[Cell]
    rows: Sequence[int]
    threads: Sequence[int]
    seconds: float
    turns: int


@dataclass(frozen=True, kw_only=True)
class Speed:
    """One kernel at one size, cell, number of rows and of threads.

    ``limit_share``: of what the machine could do, and ``limit_by`` what that is; None: unknown.
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


def measure_limits(program: Path, plan: SpeedPlan, kinds: Sequence[KernelKind]) -> list[Limits]:
    """For each number of threads: peaks, and reading of every set of weights that will be read."""
    sizes = {
        weights_of(kind, sized(size, cell)) * width
        for size in plan.sizes
        for cell in plan.cells
        for kind, width in [(None, 4), *((kind, kind.bytes_per_weight) for kind in kinds)]
    }
    asked = sorted({*sizes, CACHE_BYTES, MEMORY_BYTES})
    return [measured(program, threads, plan.seconds, asked) for threads in plan.threads]


def measure_speed(plan: SpeedPlan, program: Path | None) -> tuple[list[Speed], list[Limits]]:
    """Everything; the limits before and after, of which the better ones count."""
    kinds = available()
    before = measure_limits(program, plan, kinds) if program else []
    times = [
        time
        for size in plan.sizes
        for cell in plan.cells
        for time in _times(plan, kinds, size, cell)
    ]
    after = measure_limits(program, plan, kinds) if program else []
    limits = [best(pair) for pair in zip(before, after, strict=True)]
    return [_speed(time, kinds, limits) for time in times], limits


def weights_of(kind: KernelKind | None, architecture: LanguageModelArchitecture) -> int:
    """Weights that this kernel (None: plain modules) multiplies in a step."""
    looked_up = kind is not None and kind.looks_up(architecture)
    return weights_per_step(architecture, looked_up=looked_up)


@dataclass(frozen=True)
class _Time:
    size: str
    cell: Cell
    rows: int
    threads: int
    kernel: str
    seconds: float


def _times(plan: SpeedPlan, kinds: Sequence[KernelKind], size: str, cell: Cell) -> list[_Time]:
    network = untrained(sized(size, cell))
    plain = plain_from(network)
    found = []
    for threads in plan.threads:
        found += _times_with(plan, kinds, network, plain, (size, cell, threads))
        print(f"{size:7} {cell:5} {threads} threads", *map(_said, found[-4:]), flush=True)
    return found


def _times_with(
    plan: SpeedPlan,
    kinds: Sequence[KernelKind],
    network: LanguageModel,
    plain: PlainNetwork,
    where: tuple[str, Cell, int],
) -> list[_Time]:
    size, cell, threads = where
    kernels = make_kernels(network, kinds, rows=max(plan.rows), threads=threads)
    return [
        _Time(size, cell, rows, threads, name, seconds)
        for rows in plan.rows
        for name, seconds in paces(
            make_steppers(kernels, plain, rows), seconds=plan.seconds, turns=plan.turns
        ).items()
    ]


def _said(time: _Time) -> str:
    return f"| {time.kernel} {time.rows} rows {1e3 * time.seconds:.3f} ms"


def _speed(time: _Time, kinds: Sequence[KernelKind], limits: Sequence[Limits]) -> Speed:
    kind = next((kind for kind in kinds if kind.name == time.kernel), None)
    weights = weights_of(kind, sized(time.size, time.cell))
    width = 4 if kind is None else kind.bytes_per_weight
    of_these_threads = next((one for one in limits if one.threads == time.threads), None)
    least: Bound | None = None
    if of_these_threads is not None:
        least = bound(of_these_threads, weights, width, time.rows)
    return Speed(
        size=time.size,
        cell=time.cell,
        rows=time.rows,
        threads=time.threads,
        kernel=time.kernel,
        milliseconds_per_step=1e3 * time.seconds,
        tokens_per_second=time.rows / time.seconds,
        weights=weights,
        limit_share=None if least is None else least.share(time.seconds),
        limit_by=None if least is None else least.by,
    )

"""The report of the kernels' speed compared with the machine's limits."""

from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.harness.plots import Panel, bar_charts
from benchmarks.harness.presets import PRESETS, describe_size
from benchmarks.harness.report import Report, ResultTable
from benchmarks.harness.statistics import NAN, group_by
from benchmarks.measurements.kernel import CACHE_BYTES, MEMORY_BYTES, KernelSpeed
from benchmarks.roofline.probe import RooflineLimits

SPEED_COLUMNS = ("cell", "kernel", "rows", "ms per step", "tokens/s", "of the limit", "limited by")
LIMIT_COLUMNS = (
    "threads",
    "int8, 10^9 multiply-adds/s",
    "float32, 10^9 multiply-adds/s",
    "GB/s from cache (0.5 MB)",
    "GB/s from memory (256 MB)",
)
METHOD = (
    "A step reads one token for each row and samples the next from the whole vocabulary at "
    "temperature 1; kernels run bursts of 8 steps, called from Python as in the service. The limit "
    "of a step is the longer of two times: reading its weights once, at the rate at which this "
    "machine reads an array of that size repeatedly, and its multiply-adds at the peak rate in "
    "registers. First-layer products that a kernel looks up in a table, sampling and activations "
    "are not counted. More than 100 % means that the machine was busier while its limits were "
    "measured."
)


def kernel_report(speeds: Sequence[KernelSpeed], limits: Sequence[RooflineLimits]) -> Report:
    """The report, with a table for each size and number of threads."""
    tables = [
        ResultTable(
            f"{size}: {describe_size(PRESETS[size])}, threads: {threads}",
            SPEED_COLUMNS,
            [_row(speed) for speed in group],
            text_columns=2,
        )
        for (size, threads), group in group_by(
            speeds, lambda speed: (speed.size, speed.threads)
        ).items()
    ]
    return Report(
        name="kernel",
        title="The kernels alone, against the machine's limits",
        tables=[*_limit_tables(limits), *tables],
        notes=[METHOD],
        results={
            "speeds": [asdict(speed) for speed in speeds],
            "limits": [asdict(limit) for limit in limits],
        },
        figure=bar_charts(_panels(speeds)),
    )


def _limit_tables(limits: Sequence[RooflineLimits]) -> list[ResultTable]:
    if not limits:
        return []
    rows = [
        (
            str(limit.threads),
            f"{limit.int8 / 1e9:.0f} ({limit.instruction})",
            f"{limit.float32 / 1e9:.0f}",
            f"{limit.reads[CACHE_BYTES] / 1e9:.1f}",
            f"{limit.reads[MEMORY_BYTES] / 1e9:.1f}",
        )
        for limit in limits
    ]
    sizes = [size for size in limits[0].reads if size not in {CACHE_BYTES, MEMORY_BYTES}]
    reads = [
        (f"{size / 1e6:.1f}", *(f"{limit.reads[size] / 1e9:.1f}" for limit in limits))
        for size in sizes
    ]
    columns = ("MB of weights", *(f"GB/s, threads: {limit.threads}" for limit in limits))
    return [
        ResultTable("The machine's limits", LIMIT_COLUMNS, rows, text_columns=0),
        ResultTable("Reading arrays of the weights' sizes", columns, reads, text_columns=0),
    ]


def _row(speed: KernelSpeed) -> tuple[str, ...]:
    return (
        speed.cell,
        speed.kernel,
        str(speed.rows),
        f"{speed.milliseconds_per_step:.3f}",
        f"{speed.tokens_per_second:.0f}",
        "-" if speed.limit_share is None else f"{speed.limit_share:.0%}",
        speed.limit_by or "-",
    )


def _panels(speeds: Sequence[KernelSpeed]) -> list[list[Panel]]:
    """A row for each size with the most threads: time per step, and share of the limit."""
    threads = max(speed.threads for speed in speeds)
    cell = "lstm" if any(speed.cell == "lstm" for speed in speeds) else speeds[0].cell
    selected = [speed for speed in speeds if speed.threads == threads and speed.cell == cell]
    panels = []
    for size, group in group_by(selected, lambda speed: speed.size).items():
        groups = [f"{rows} rows" for rows in dict.fromkeys(speed.rows for speed in group)]
        by_kernel = group_by(group, lambda speed: speed.kernel)
        times = {
            kernel: [speed.milliseconds_per_step for speed in kernel_speeds]
            for kernel, kernel_speeds in by_kernel.items()
        }
        shares = {
            kernel: [
                NAN if speed.limit_share is None else 100 * speed.limit_share
                for speed in kernel_speeds
            ]
            for kernel, kernel_speeds in by_kernel.items()
        }
        title = f"{size} {cell.upper()}, threads: {threads}"
        panels.append(
            [
                Panel(title, "ms per step", groups, times, logarithmic=True),
                Panel(title, "% of the machine's limit", groups, shares),
            ]
        )
    return panels

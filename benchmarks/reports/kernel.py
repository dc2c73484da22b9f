"""What the kernels reached, beside what the machine could do, as tables and a figure.

Knows no kernel and no clock.
"""

from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.harness.plots import Panel, bars
from benchmarks.harness.presets import SIZES, described
from benchmarks.harness.report import Report, Table
from benchmarks.harness.statistics import NONE, grouped
from benchmarks.measurements.kernel import CACHE_BYTES, MEMORY_BYTES, Speed
from benchmarks.roofline.probe import Limits

HEADINGS = ("cell", "kernel", "rows", "ms per step", "tokens/s", "of the limit", "limited by")
LIMIT_HEADINGS = (
    "threads",
    "int8, 10^9 multiply-adds/s",
    "float32, 10^9 multiply-adds/s",
    "GB/s from cache (0.5 MB)",
    "GB/s from memory (256 MB)",
)
HOW = (
    "A step reads one token for each row and draws the next from the whole vocabulary at "
    "temperature 1; kernels are asked for bursts of 8 steps, from Python, as the service does. "
    "The limit of a step: its weights read once, at the speed at which this machine reads an "
    "array of just that size over and over, or its multiply-adds at the peak that registers "
    "allow, whichever takes longer. First-layer products that a kernel looks up in a table are "
    "not counted, and neither are sampling and activations: they have to fit into the rest. More "
    "than 100 % means that the machine was busier while its limits were measured."
)


def kernel_report(found: Sequence[Speed], limits: Sequence[Limits]) -> Report:
    """All of it."""
    by_place = grouped(found, lambda one: (one.size, one.threads))
    tables = [
        Table(f"{size}: {described(SIZES[size])}, threads: {threads}", HEADINGS, rows, 2)
        for (size, threads), part in by_place.items()
        for rows in [[_row(one) for one in part]]
    ]
    return Report(
        name="kernel",
        title="The kernels alone, against the machine's limits",
        tables=[*_limit_tables(limits), *tables],
        notes=[HOW],
        found={
            "speeds": [asdict(one) for one in found],
            "limits": [asdict(one) for one in limits],
        },
        figure=bars(_panels(found)),
    )


def _limit_tables(limits: Sequence[Limits]) -> list[Table]:
    if not limits:
        return []
    rows = [
        (
            str(one.threads),
            f"{one.int8 / 1e9:.0f} ({one.instruction})",
            f"{one.float32 / 1e9:.0f}",
            f"{one.reads[CACHE_BYTES] / 1e9:.1f}",
            f"{one.reads[MEMORY_BYTES] / 1e9:.1f}",
        )
        for one in limits
    ]
    sizes = [size for size in limits[0].reads if size not in {CACHE_BYTES, MEMORY_BYTES}]
    reads = [
        (f"{size / 1e6:.1f}", *(f"{one.reads[size] / 1e9:.1f}" for one in limits)) for size in sizes
    ]
    headings = ("MB of weights", *(f"GB/s, threads: {one.threads}" for one in limits))
    return [
        Table("The machine's limits", LIMIT_HEADINGS, rows, texts=0),
        Table("Reading arrays of the size of the weights", headings, reads, texts=0),
    ]


def _row(one: Speed) -> tuple[str, ...]:
    return (
        one.cell,
        one.kernel,
        str(one.rows),
        f"{one.milliseconds_per_step:.3f}",
        f"{one.tokens_per_second:.0f}",
        "-" if one.limit_share is None else f"{one.limit_share:.0%}",
        one.limit_by or "-",
    )


def _panels(found: Sequence[Speed]) -> list[list[Panel]]:
    """Two panels a row: time, and share of the limit; a row for each size, with most threads."""
    threads = max(one.threads for one in found)
    cell = "lstm" if any(one.cell == "lstm" for one in found) else found[0].cell
    chosen = [one for one in found if one.threads == threads and one.cell == cell]
    panels = []
    for size, part in grouped(chosen, lambda one: one.size).items():
        groups = [f"{rows} rows" for rows in dict.fromkeys(one.rows for one in part)]
        by_kernel = grouped(part, lambda one: one.kernel)
        times = {
            name: [one.milliseconds_per_step for one in all_] for name, all_ in by_kernel.items()
        }
        shares = {
            name: [NONE if one.limit_share is None else 100 * one.limit_share for one in all_]
            for name, all_ in by_kernel.items()
        }
        title = f"{size} {cell.upper()}, threads: {threads}"
        panels.append(
            [
                Panel(title, "ms per step", groups, times, logarithmic=True),
                Panel(title, "% of the machine's limit", groups, shares),
            ]
        )
    return panels

"""`quality`: what the recipes give on the data of the design's table, seed by seed."""

import argparse
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.commands.paths import RESULTS
from benchmarks.harness import report
from benchmarks.harness.report import Report, Table
from benchmarks.measurements.quality import ROWS, Measured, Row, measure_row

NAME = "quality"
HEADINGS = ("what", "recipe", "wanted", "mean", "spread", "of each seed", "minutes")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `quality`."""
    recipes = list(dict.fromkeys(row.recipe for row in ROWS))
    parser.add_argument("--recipes", nargs="+", choices=recipes, default=recipes, metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=RESULTS / NAME)


def run(args: argparse.Namespace) -> None:
    """Trains what is not trained yet, and tells the table after every run."""
    if "UNROLL_DATA" not in os.environ:
        raise SystemExit("quality: set UNROLL_DATA to the directory of the data")
    args.out.mkdir(parents=True, exist_ok=True)
    chosen = [row for row in ROWS if row.recipe in args.recipes]
    found: list[Measured] = []
    for seed in args.seeds:
        for row in chosen:
            found.append(measure_row(row, seed, args.out))
            print("\n" + report.write(args.out, told(chosen, found)), flush=True)


def told(rows: Sequence[Row], found: Sequence[Measured]) -> Report:
    """The table, and all runs for programs."""
    return Report(
        name=NAME,
        title="Quality",
        tables=[Table("Recipes", HEADINGS, table_rows(rows, found), texts=2)],
        notes=["Test splits, or as said; the spread is the standard deviation over seeds."],
        found={"runs": [asdict(one) for one in found]},
    )


def table_rows(rows: Sequence[Row], found: Sequence[Measured]) -> list[list[str]]:
    """One for each row that was measured."""
    lines = []
    for row in rows:
        own = [one for one in found if one.what == row.what]
        if not own:
            continue
        figures = [one.figure for one in own]
        spread = f"{statistics.stdev(figures):.4f}" if len(figures) > 1 else ""
        bound = "at most" if row.lower_is_better else "at least"
        minutes = statistics.mean(one.minutes for one in own)
        lines.append(
            [
                row.what,
                f"{row.recipe}.toml",
                f"{bound} {row.wanted:g}",
                f"{statistics.mean(figures):.4f}",
                spread,
                " ".join(f"{figure:.4f}" for figure in figures),
                f"{minutes:.1f}",
            ]
        )
    return lines

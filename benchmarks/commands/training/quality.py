"""`quality`: accuracy and perplexity of the recipes over several seeds."""

import argparse
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness.command import RESULTS_DIRECTORY
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.statistics import group_by
from benchmarks.measurements.training.quality import (
    TARGETS,
    QualityRun,
    QualityTarget,
    measure_target,
)

NAME = "quality"
HELP = "accuracy and perplexity of the recipes over several seeds"
QUICK: dict[str, object] = {}
TABLE_COLUMNS = ("data", "recipe", "target", "mean", "std", "by seed", "minutes")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `quality`."""
    recipes = list(dict.fromkeys(target.recipe for target in TARGETS))
    parser.add_argument("--recipes", nargs="+", choices=recipes, default=recipes, metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=RESULTS_DIRECTORY / NAME)


def run(args: argparse.Namespace) -> None:
    """Trains and measures the recipes, and writes and prints the table after every run."""
    if "UNROLL_DATA" not in os.environ:
        raise SystemExit("quality: set UNROLL_DATA to the directory of the data")
    args.out.mkdir(parents=True, exist_ok=True)
    targets = [target for target in TARGETS if target.recipe in args.recipes]
    runs: list[QualityRun] = []
    for seed in args.seeds:
        for target in targets:
            runs.append(measure_target(target, seed, args.out))
            print("\n" + write_report(args.out, quality_report(targets, runs)), flush=True)


def quality_report(targets: Sequence[QualityTarget], runs: Sequence[QualityRun]) -> Report:
    """The report of all runs so far."""
    return Report(
        name=NAME,
        title="Quality",
        tables=[ResultTable("Recipes", TABLE_COLUMNS, table_rows(targets, runs), text_columns=2)],
        notes=["Test splits unless stated otherwise; std: standard deviation over seeds."],
        results={"runs": [asdict(run) for run in runs]},
    )


def table_rows(targets: Sequence[QualityTarget], runs: Sequence[QualityRun]) -> list[list[str]]:
    """One row for each target with at least one run."""
    runs_by_target = group_by(runs, lambda run: run.what)
    rows = []
    for target in targets:
        if target.name not in runs_by_target:
            continue
        target_runs = runs_by_target[target.name]
        values = [run.figure for run in target_runs]
        deviation = f"{statistics.stdev(values):.4f}" if len(values) > 1 else ""
        bound = "at most" if target.lower_is_better else "at least"
        minutes = statistics.mean(run.minutes for run in target_runs)
        rows.append(
            [
                target.name,
                f"{target.recipe}.toml",
                f"{bound} {target.value:g}",
                f"{statistics.mean(values):.4f}",
                deviation,
                " ".join(f"{value:.4f}" for value in values),
                f"{minutes:.1f}",
            ]
        )
    return rows

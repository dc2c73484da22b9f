"""`classifiers`: `python -m training classifier` beside fastText and TF-IDF with a linear SVM."""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness.command import RESULTS_DIRECTORY
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.statistics import group_by
from benchmarks.measurements.training.classifier_training import (
    ClassifierPlan,
    TrainedClassifier,
    compare_classifiers,
)

NAME = "classifiers"
HELP = "training classifiers beside fastText and a linear SVM"
QUICK: dict[str, object] = {}
TABLE_COLUMNS = ("classifier", "accuracy", "by seed", "macro F1", "seconds", "CPU seconds")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `classifiers`."""
    for split in ("train", "valid", "test"):
        parser.add_argument(f"--{split}", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--minutes", type=float, default=5, help="maximum time of each run")
    parser.add_argument("--threads", type=int, default=1, help="threads of each run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=RESULTS_DIRECTORY / NAME)
    parser.add_argument(
        "options", nargs="*", help="further options of `training classifier`, after --"
    )


def run(args: argparse.Namespace) -> None:
    """Trains and evaluates all, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    names = ("train", "valid", "test", "minutes", "threads", "seeds", "options", "out")
    runs = compare_classifiers(ClassifierPlan(**{name: getattr(args, name) for name in names}))
    report = Report(
        name=NAME,
        title="Classifiers after the same training time",
        tables=[ResultTable(f"At most {args.minutes:g} minutes", TABLE_COLUMNS, table_rows(runs))],
        notes=["Test split. Accuracy, macro F1 and seconds are means over the seeds."],
        results={"runs": [asdict(run) for run in runs]},
    )
    print("\n" + write_report(args.out, report))


def table_rows(runs: Sequence[TrainedClassifier]) -> list[list[str]]:
    """One row for each classifier, in the order of the runs."""
    rows = []
    for name, classifier_runs in group_by(runs, lambda run: run.classifier).items():
        accuracy, macro_f1, seconds, cpu_seconds = (
            statistics.mean(getattr(run, metric) for run in classifier_runs)
            for metric in ("accuracy", "macro_f1", "seconds", "cpu_seconds")
        )
        by_seed = " ".join(f"{run.accuracy:.3f}" for run in classifier_runs)
        times = [f"{seconds:.0f}", f"{cpu_seconds:.0f}"]
        rows.append([name, f"{accuracy:.4f}", by_seed, f"{macro_f1:.4f}", *times])
    return rows

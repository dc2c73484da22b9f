"""`classifiers`: `python -m training classifier` beside fastText and TF-IDF with a linear SVM."""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.commands.paths import RESULTS
from benchmarks.harness import report
from benchmarks.harness.report import Report, Table
from benchmarks.measurements.classifier_training import ClassifierPlan, Trained, compare

NAME = "classifiers"
HEADINGS = ("classifier", "accuracy", "of each seed", "macro F1", "seconds", "CPU seconds")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `classifiers`."""
    for split in ("train", "valid", "test"):
        parser.add_argument(f"--{split}", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--minutes", type=float, default=5, help="at most, for each run")
    parser.add_argument("--threads", type=int, default=1, help="for each run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=RESULTS / NAME)
    parser.add_argument("options", nargs="*", help="more for `training classifier`, after --")


def run(args: argparse.Namespace) -> None:
    """Trains and measures all, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    names = ("train", "valid", "test", "minutes", "threads", "seeds", "options", "out")
    runs = compare(ClassifierPlan(**{name: getattr(args, name) for name in names}))
    found = Report(
        name=NAME,
        title="Classifiers after the same minutes",
        tables=[Table(f"At most {args.minutes:g} minutes", HEADINGS, rows(runs))],
        notes=["Test split. Accuracy, macro F1 and seconds are means over the seeds."],
        found={"runs": [asdict(one) for one in runs]},
    )
    print("\n" + report.write(args.out, found))


def rows(runs: Sequence[Trained]) -> list[list[str]]:
    """One for each classifier, in the order they ran."""
    told = []
    for name in dict.fromkeys(one.classifier for one in runs):
        own = [one for one in runs if one.classifier == name]
        means = [
            statistics.mean(getattr(one, figure) for one in own)
            for figure in ("accuracy", "macro_f1", "seconds", "cpu_seconds")
        ]
        each = " ".join(f"{one.accuracy:.3f}" for one in own)
        f1, seconds, cpu = f"{means[1]:.4f}", f"{means[2]:.0f}", f"{means[3]:.0f}"
        told.append([name, f"{means[0]:.4f}", each, f1, seconds, cpu])
    return told

"""`training`: `python -m training lm` beside a plain script."""

import argparse
import json
from pathlib import Path

from benchmarks.commands.paths import RESULTS
from benchmarks.measurements.language_model_training import TrainingPlan, compare, table


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `training`."""
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--valid", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--test", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--minutes", type=float, default=10, help="for each of the three runs")
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=None, help="at most so many words")
    parser.add_argument("--out", type=Path, default=RESULTS / "training")
    parser.add_argument("options", nargs="*", help="more for `python -m training lm`, after --")


def run(args: argparse.Namespace) -> None:
    """Trains and measures all, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    names = ("train", "valid", "test", "minutes", "hidden", "layers", "vocabulary", "options")
    plan = TrainingPlan(out=args.out, **{name: getattr(args, name) for name in names})
    found = compare(plan)
    (args.out / "training.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    text = table(found, args.minutes)
    (args.out / "training.md").write_text(text, encoding="utf-8")
    print("\n" + text)

"""`training`: `python -m training lm` beside a plain training script."""

import argparse
import json
from pathlib import Path

from benchmarks.harness.command import RESULTS_DIRECTORY
from benchmarks.measurements.training.language_model_training import (
    LanguageModelPlan,
    compare_language_models,
    perplexity_table,
)

NAME = "training"
HELP = "training a language model beside a plain training script"
QUICK: dict[str, object] = {}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `training`."""
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--valid", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--test", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--minutes", type=float, default=10, help="time of each of the three runs")
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=None, help="largest number of words")
    parser.add_argument("--out", type=Path, default=RESULTS_DIRECTORY / NAME)
    parser.add_argument(
        "options", nargs="*", help="further options of `python -m training lm`, after --"
    )


def run(args: argparse.Namespace) -> None:
    """Trains and evaluates all, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    names = ("train", "valid", "test", "minutes", "hidden", "layers", "vocabulary", "options")
    plan = LanguageModelPlan(out=args.out, **{name: getattr(args, name) for name in names})
    perplexities = compare_language_models(plan)
    (args.out / f"{NAME}.json").write_text(json.dumps(perplexities, indent=1), encoding="utf-8")
    text = perplexity_table(perplexities, args.minutes)
    (args.out / f"{NAME}.md").write_text(text, encoding="utf-8")
    print("\n" + text)

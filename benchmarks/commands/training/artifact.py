"""`artifact`: write an untrained artifact of any size."""

import argparse
from pathlib import Path

from benchmarks.harness.untrained_artifact import save_untrained_artifact
from model.architecture import CELLS, LanguageModelArchitecture

NAME = "artifact"
HELP = "write an untrained artifact of any size"
QUICK: dict[str, object] = {}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `artifact`; the defaults are the medium size."""
    parser.add_argument("--cell", choices=CELLS, default="lstm")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--embedding", type=int, default=650)
    parser.add_argument("--hidden", type=int, default=650)
    parser.add_argument("--vocabulary", type=int, default=10_000)
    parser.add_argument("--projection", type=int, default=None)
    parser.add_argument("--tied", action="store_true")
    parser.add_argument(
        "--cutoffs", type=int, nargs="+", default=(), help="cutoffs of an adaptive softmax"
    )
    parser.add_argument(
        "--division", type=int, default=None, help="factor by which each of its tails is narrower"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="directory of the artifact")


def run(args: argparse.Namespace) -> None:
    """Writes the artifact and prints the command that serves it."""
    architecture = LanguageModelArchitecture(
        cell=args.cell,
        vocabulary=args.vocabulary,
        embedding=args.embedding,
        hidden=args.hidden,
        layers=args.layers,
        projection=args.projection,
        tied=args.tied,
        cutoffs=tuple(args.cutoffs),
        division=args.division,
    )
    save_untrained_artifact(args.out, architecture, seed=args.seed)
    print(f"{args.out}: serve it with  python -m service --models {args.out.parent}")

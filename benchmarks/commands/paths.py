"""Where results go and where the pretrained models are: what several commands have in common."""

import argparse
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PRETRAINED = ROOT / "pretrained"


def add_results(parser: argparse.ArgumentParser) -> None:
    """The options that every measurement has."""
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory of the results")
    parser.add_argument(
        "--quick", action="store_true", help="a short look: small sizes, few seconds, one repeat"
    )

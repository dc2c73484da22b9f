"""`kernel`: the kernels without HTTP, beside plain torch modules, against the machine's limits."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.commands.paths import add_results
from benchmarks.harness import report
from benchmarks.harness.presets import SIZES
from benchmarks.measurements.kernel import SpeedPlan, measure_speed
from benchmarks.reports.kernel import kernel_report
from benchmarks.roofline.probe import compiled
from model.architecture import CELLS
from model.system.cpu_quota import granted_cpus

NAME = "kernel"
QUICK = {"sizes": ["small", "medium"], "cells": ["lstm"], "seconds": 0.2, "turns": 1}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `kernel`."""
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=["lstm", "gru", "elman"])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, granted_cpus()}))
    parser.add_argument("--seconds", type=float, default=1.0, help="of each figure")
    parser.add_argument("--turns", type=int, default=5, help="turns that the seconds are cut into")
    add_results(parser)


def run(args: argparse.Namespace) -> None:
    """Measures, writes the results and prints the tables."""
    names = ("sizes", "cells", "rows", "threads", "seconds", "turns")
    plan = SpeedPlan(**{name: getattr(args, name) for name in names})
    with tempfile.TemporaryDirectory() as scratch:
        found, limits = measure_speed(plan, compiled(Path(scratch)))
    print("\n" + report.write(args.out, kernel_report(found, limits)))

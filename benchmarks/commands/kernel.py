"""`kernel`: the kernels without HTTP beside plain torch modules and the machine's limits."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.harness.command import add_result_options
from benchmarks.harness.presets import PRESETS
from benchmarks.harness.report import write_report
from benchmarks.measurements.kernel import KernelPlan, measure_kernels
from benchmarks.reports.kernel import kernel_report
from benchmarks.roofline.probe import compile_probe
from model.architecture import CELLS
from model.system.cpu_quota import granted_cpus

NAME = "kernel"
HELP = "the kernels without HTTP, compared with the machine's limits"
QUICK = {"sizes": ["small", "medium"], "cells": ["lstm"], "seconds": 0.2, "turns": 1}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `kernel`."""
    parser.add_argument("--sizes", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=["lstm", "gru", "elman"])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, granted_cpus()}))
    parser.add_argument("--seconds", type=float, default=1.0, help="time of each measurement")
    parser.add_argument("--turns", type=int, default=5, help="turns that divide this time")
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures, writes the results and prints the tables."""
    names = ("sizes", "cells", "rows", "threads", "seconds", "turns")
    plan = KernelPlan(**{name: getattr(args, name) for name in names})
    with tempfile.TemporaryDirectory() as scratch:
        speeds, limits = measure_kernels(plan, compile_probe(Path(scratch)))
    print("\n" + write_report(args.out, kernel_report(speeds, limits)))

"""`all`: every measurement in a process of its own, and one report of them all."""

import argparse
import subprocess
import sys

from benchmarks.commands import (
    arrivals,
    classify,
    context,
    inspection,
    kernel,
    kernel_share,
    next_word,
    quantization,
    serve,
    short_requests,
    startup,
)
from benchmarks.harness.command import BenchmarkCommand, add_result_options
from benchmarks.harness.report import join_reports

NAME = "all"
HELP = "all measurements of the service, one after the other"
QUICK: dict[str, object] = {}
# In the order of the report; the longest ones come last.
MEASUREMENTS: tuple[BenchmarkCommand, ...] = (
    startup,
    quantization,
    context,
    classify,
    inspection,
    next_word,
    short_requests,
    kernel,
    kernel_share,
    arrivals,
    serve,
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `all`."""
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Runs the parts and joins their reports.

    The other parts run even if one fails; the exit status and the message then name it.
    """
    names = [part.NAME for part in MEASUREMENTS]
    failed = []
    for name in names:
        print(f"\n=== {name}", flush=True)
        for suffix in ("md", "json", "png"):  # results of an earlier run
            (args.out / f"{name}.{suffix}").unlink(missing_ok=True)
        options = ["--quick"] if args.quick else []
        command = [sys.executable, "-m", "benchmarks", name, "--out", str(args.out), *options]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
    print(f"\nAll tables: {join_reports(args.out, names)}")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")

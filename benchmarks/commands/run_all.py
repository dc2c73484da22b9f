"""`all`: every measurement, each in a process of its own, and one report of them all."""

import argparse
import subprocess
import sys

from benchmarks.commands import classify, context, kernel, quantization, serve, startup
from benchmarks.commands.paths import add_results
from benchmarks.harness import report

# In the order in which they run and stand in the report; what takes longest comes last.
PARTS = {
    "startup": startup.NAME,
    "perplexity": quantization.NAME,
    "context": context.NAME,
    "classify": classify.NAME,
    "kernel": kernel.NAME,
    "serve": serve.NAME,
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `all`."""
    add_results(parser)


def run(args: argparse.Namespace) -> None:
    """Runs the parts; one that fails does not stop the others, but the exit status tells it."""
    failed = []
    for part, name in PARTS.items():
        print(f"\n=== {part}", flush=True)
        for suffix in ("md", "json", "png"):  # those of an earlier run are not this run's
            (args.out / f"{name}.{suffix}").unlink(missing_ok=True)
        more = ["--quick"] if args.quick else []
        command = [sys.executable, "-m", "benchmarks", part, "--out", str(args.out), *more]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(part)
    print(f"\n{report.bind(args.out, list(PARTS.values()))}: all tables")
    if failed:
        raise SystemExit(f"these did not come to their end: {', '.join(failed)}")

"""`all`: every measurement in a process of its own, and one report of them all.

A run that was interrupted continues with the part that it had not finished: RUN_FILE in the
directory of the results has the finished parts, and is removed at the end.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

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
from benchmarks.commands.peers import runtimes, text_classifiers
from benchmarks.harness.command import BenchmarkCommand, add_result_options
from benchmarks.harness.report import join_reports

NAME = "all"
HELP = "all measurements of the service, one after the other"
QUICK: dict[str, object] = {}
RUN_FILE = "run.json"


@dataclass(frozen=True)
class Part:
    """A measurement, and the options and the minutes of its standard form within `all`."""

    command: BenchmarkCommand
    options: str
    minutes: float


# In the order of the report; the standard forms take at most 20 minutes together.
PARTS = (
    Part(startup, "--repeats 3", 0.5),
    Part(quantization, "--quick", 0.5),
    Part(context, "--quick", 0.3),
    Part(classify, "--seconds 3 --repeats 2", 1.2),
    Part(text_classifiers, "--connections 1 16 --seconds 2 --repeats 2", 1.5),
    Part(inspection, "--quick", 0.7),
    Part(next_word, "--clients 1 16 --seconds 2 --repeats 2", 1.2),
    Part(short_requests, "--seconds 2 --repeats 2", 2.5),
    Part(kernel, "--sizes small medium --cells lstm --seconds 0.5 --turns 3", 1.5),
    Part(runtimes, "--seconds 0.6 --turns 3", 1.0),
    Part(kernel_share, "--seconds 4 --repeats 3", 2.0),
    Part(arrivals, "--seconds 5 --repeats 3", 1.5),
    Part(serve, "--sizes medium --seconds 3 --longest 15 --repeats 2", 5.0),
)
MEASUREMENTS: tuple[BenchmarkCommand, ...] = tuple(part.command for part in PARTS)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `all`."""
    parser.add_argument(
        "--fresh", action="store_true", help="begin again, and do not continue an interrupted run"
    )
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Runs the parts and joins their reports.

    The other parts run even if one fails; the exit status and the message then name it.
    """
    args.out.mkdir(parents=True, exist_ok=True)
    names = [part.command.NAME for part in PARTS]
    state = args.out / RUN_FILE
    done = [] if args.fresh else finished_parts(state, quick=args.quick)
    if done:
        print(f"Continuing an interrupted run after {', '.join(done)} (--fresh begins again).")
    failed = []
    begin = time.monotonic()
    for number, part in enumerate(PARTS, start=1):
        name = part.command.NAME
        if name in done:
            continue
        about = "" if args.quick else f", about {part.minutes:g} min"
        minutes = (time.monotonic() - begin) / 60
        print(f"\n=== {number}/{len(PARTS)} {name}{about}; {minutes:.1f} min so far", flush=True)
        for suffix in ("md", "json", "png"):  # results of an earlier run
            (args.out / f"{name}.{suffix}").unlink(missing_ok=True)
        options = ["--quick"] if args.quick else part.options.split()
        command = [sys.executable, "-m", "benchmarks", name, "--out", str(args.out), *options]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
            continue
        done.append(name)
        state.write_text(json.dumps({"quick": args.quick, "done": done}), encoding="utf-8")
    print(f"\nAll tables: {join_reports(args.out, names)}")
    print(f"Write them into docs/performance.md: python -m benchmarks report --results {args.out}")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")
    state.unlink(missing_ok=True)


def finished_parts(state: Path, *, quick: bool) -> list[str]:
    """The names of the parts that an interrupted run of the same form has finished."""
    try:
        content = json.loads(state.read_text(encoding="utf-8"))
        return list(content["done"]) if content["quick"] == quick else []
    except (OSError, ValueError, KeyError, TypeError):
        return []

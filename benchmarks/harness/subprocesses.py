"""Runs our modules in processes of their own, and reads what they measured. Knows none of them."""

import json
import os
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any


def run_module(module: str, *arguments: str, threads: int | None = None) -> None:
    """Runs a module to its end; exits if it fails. ``threads``: of torch, as is if not given."""
    environment = dict(os.environ)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, check=False, env=environment)
    if done.returncode != 0:
        what = " ".join([module, *takewhile(lambda word: not word.startswith("-"), arguments)])
        raise SystemExit(f"python -m {what} ended with code {done.returncode}")


def measured(
    artifact: Path, command: str, *options: str, threads: int | None = None
) -> dict[str, Any]:
    """The figures that a command of `training` finds for an artifact; written beside it."""
    told = artifact.with_name(f"{artifact.name}.{command}.json")
    arguments = [command, str(artifact), *options, "--json", str(told)]
    run_module("training", *arguments, threads=threads)
    found: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    return found

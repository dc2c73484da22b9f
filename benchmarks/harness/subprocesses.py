"""Running Python modules in processes of their own, and reading the results of `training`."""

import json
import os
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any


def run_module(module: str, *arguments: str, threads: int | None = None) -> None:
    """Runs `python -m module` with arguments.

    Args:
        module: its dotted name.
        arguments: of the command line.
        threads: OMP_NUM_THREADS of the process; None leaves it unchanged.

    Raises:
        SystemExit: the module has ended with another code than 0.
    """
    environment = dict(os.environ)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.run(command, check=False, env=environment)
    if process.returncode != 0:
        words = [module, *takewhile(lambda word: not word.startswith("-"), arguments)]
        raise SystemExit(f"python -m {' '.join(words)} ended with code {process.returncode}")


def run_training_measurement(
    artifact: Path, command: str, *options: str, threads: int | None = None
) -> dict[str, Any]:
    """Runs `python -m training COMMAND ARTIFACT` and returns the JSON that it writes.

    The file is written beside the artifact as ARTIFACT.COMMAND.json.
    """
    output = artifact.with_name(f"{artifact.name}.{command}.json")
    arguments = [command, str(artifact), *options, "--json", str(output)]
    run_module("training", *arguments, threads=threads)
    results: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return results

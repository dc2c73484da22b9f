"""Programs of an environment of their own, whose packages are too many for that of the project.

``.ci/run`` makes it in build/clients; UNROLL_CLIENTS names another place.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.repository import ROOT

PATIENCE = 110.0


def client_program(name: str) -> Path:
    """A program of that environment; skips the test where it is missing."""
    path = Path(os.environ.get("UNROLL_CLIENTS") or ROOT / "build" / "clients") / "bin" / name
    if not path.exists():
        pytest.skip(f"{name} is not installed: .ci/run makes build/clients")
    return path


def run_program(program: Path, *arguments: str, home: Path) -> str:
    """The output of a program that must succeed; it writes below ``home`` and uses no network."""
    environment = {
        **os.environ,
        "HOME": str(home),
        "HF_HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "LLM_USER_PATH": str(home),
        "OPENAI_API_KEY": "unused",
        "LANGSMITH_TRACING": "false",
    }
    for name in ("PYTHONPATH", "COVERAGE_PROCESS_CONFIG"):
        environment.pop(name, None)
    ended = subprocess.run(
        [str(program), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=home,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout

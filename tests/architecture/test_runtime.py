"""What importing a room really loads, asked of a fresh interpreter.

The import statements are checked elsewhere; this catches what comes in by a side door.
"""

import subprocess
import sys

import pytest

from tests.support.repository import ROOT

LOADED = """
import importlib, pkgutil, sys
package = importlib.import_module({room!r})
for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
print("\\n".join(sorted(sys.modules)))
"""


def said_by(program: str) -> list[str]:
    """The words that a program prints in an interpreter of its own."""
    answer = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return answer.stdout.split()


def loaded_by(room: str) -> set[str]:
    """Top-level names of all modules in memory once every module of a room is imported."""
    return {name.split(".")[0] for name in said_by(LOADED.format(room=room))}


@pytest.mark.parametrize(
    ("room", "kept_out"),
    [
        ("model", {"training", "service", "fastapi", "pydantic"}),
        ("training", {"service", "fastapi", "starlette", "uvicorn"}),
        ("service", {"training", "datasets"}),
        ("service.engine", {"training", "fastapi", "starlette", "pydantic", "uvicorn"}),
    ],
)
def test_importing_a_room_loads_nothing_it_should_not_know(room: str, kept_out: set[str]) -> None:
    """Importing all of a room leaves the rooms and packages it must not know out of memory."""
    assert loaded_by(room) & kept_out == set()


LOADS = """
import sys
from pathlib import Path
from model.artifact import load_artifact
load_artifact(Path("pretrained/english-word"))
load_artifact(Path("pretrained/sentiment"))
print("torch._dynamo" in sys.modules)
"""


def test_loading_an_artifact_does_not_load_torchs_compiler() -> None:
    """It is eight hundred modules and a second of every start; some initializers ask for it."""
    assert said_by(LOADS) == ["False"]

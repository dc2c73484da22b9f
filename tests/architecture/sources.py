"""The project's own modules and what each imports, read with `ast` and without running anything.

Knows no rules: the tests beside it hold those.
"""

import ast
import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.repository import ROOT

ROOMS = ("model", "training", "service", "benchmarks", "tests")
SHIPPED = ("model", "training", "service")


@dataclass(frozen=True)
class Source:
    """One Python file: its dotted name, its path and its parsed tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def lines(self) -> int:
        return self.path.read_text(encoding="utf-8").count("\n")


def module_name(path: Path) -> str:
    """`service/engine/__init__.py` is `service.engine`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def sources() -> dict[str, Source]:
    """Every module of every room, by dotted name."""
    found: dict[str, Source] = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
            found[module_name(path)] = Source(module_name(path), path, tree)
    return found


def imported(source: Source) -> set[str]:
    """Dotted names that a file imports anywhere: at the top, in a function, for types alone.

    `from a.b import c` is `a.b.c` where that is one of our modules, and `a.b` otherwise.
    """
    names: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                names.add(deeper if deeper in sources() else node.module)
    return names


def own_imports(source: Source) -> set[str]:
    """The part of `imported` that lies in this project."""
    return {name for name in imported(source) if name in sources()}


def outside_imports(source: Source) -> set[str]:
    """Top-level names of the packages a file takes from outside: `torch`, `fastapi`, `time`."""
    return {name.split(".")[0] for name in imported(source) if name.split(".")[0] not in ROOMS}


def within(name: str, package: str) -> bool:
    """Whether a dotted name is the package or lies inside it."""
    return name == package or name.startswith(package + ".")


def modules_in(package: str) -> Iterator[Source]:
    """The modules of a package; fails where there are none, so that no rule holds of nothing."""
    chosen = [source for name, source in sources().items() if within(name, package)]
    assert chosen, f"there is no module {package}"
    yield from chosen


@functools.cache
def tracked_files() -> list[Path]:
    """The files that git tracks; skips the test where the tree is not a git checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout: nobody can say which files are the repository's")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]

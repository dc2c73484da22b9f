"""The modules of the project and their imports, parsed with `ast` without running them."""

import ast
import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.repository import ROOT

PACKAGES = (
    "model",
    "training",
    "service",
    "unroll",
    "unroll_client",
    "benchmarks",
    "docker",
    "tests",
)
SHIPPED = ("model", "training", "service", "unroll", "unroll_client")


@dataclass(frozen=True)
class Source:
    """A Python file: its dotted name, its path and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def lines(self) -> int:
        return self.path.read_text(encoding="utf-8").count("\n")


def module_name(path: Path) -> str:
    """The dotted name of a file; that of `service/engine/__init__.py` is `service.engine`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def sources() -> dict[str, Source]:
    """All modules of all packages, by dotted name."""
    modules: dict[str, Source] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
            modules[module_name(path)] = Source(module_name(path), path, tree)
    return modules


def imported(source: Source) -> set[str]:
    """Dotted names that a file imports anywhere, also in functions and for type checking.

    `from a.b import c` is `a.b.c` if that is a module of the project, else `a.b`.
    """
    names: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                names.add(submodule if submodule in sources() else node.module)
    return names


def own_imports(source: Source) -> set[str]:
    """The imported modules of this project."""
    return {name for name in imported(source) if name in sources()}


def outside_imports(source: Source) -> set[str]:
    """Top-level names of imported packages outside the project: `torch`, `fastapi`, `time`."""
    return {name.split(".")[0] for name in imported(source) if name.split(".")[0] not in PACKAGES}


def within(name: str, package: str) -> bool:
    """Whether a dotted name is the package or a module inside it."""
    return name == package or name.startswith(package + ".")


def modules_in(package: str) -> Iterator[Source]:
    """The modules of a package. Fails if there are none, so that no rule holds vacuously."""
    modules = [source for name, source in sources().items() if within(name, package)]
    assert modules, f"there is no module {package}"
    yield from modules


@functools.cache
def tracked_files() -> list[Path]:
    """The files that git tracks. Skips the test outside a git checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout: the tracked files are unknown")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]

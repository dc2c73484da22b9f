"""Sizes of files and functions, names of modules, docstrings, and text of tracked files."""

import ast
import re
import statistics
from collections import Counter

import pytest

from tests.architecture.sources import SHIPPED, Source, modules_in, sources, tracked_files
from tests.support.repository import ROOT

VAGUE_NAMES = {"utils", "util", "common", "core", "helpers", "helper", "base", "manager", "misc"}
LONGEST_FILE = 400
MOST_FILES = 15  # in a folder
LONGEST_FUNCTION = 70
MEDIAN_FILE = 150
EXPORTING = {"unroll_client"}  # packages whose users import its names from the package

# One letter is in brackets, so that the patterns do not match this file.
MACHINE_PATHS = re.compile(r"/(?:[r]oot|[w]ork)/|/(?:[h]ome|[U]sers)/\w")
REGISTRY_HOSTS = re.compile(
    r"[p]ypi\.org|[p]ythonhosted\.org|[d]ownload\.pytorch\.org|[g]hcr\.io|[q]uay\.io|[d]ocker\.io"
)


def functions(source: Source) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods of a module, also nested ones."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(source.tree) if isinstance(node, kinds)]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Number of lines from `def` to the last statement."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_file_is_over_400_lines() -> None:
    """A longer file has two subjects."""
    assert [s.name for s in sources().values() if s.lines > LONGEST_FILE] == []


def test_no_folder_holds_more_than_15_files() -> None:
    """A larger folder has two subjects."""
    files = Counter(
        path.parent for path in tracked_files() if path.suffix == ".py" and path.stem != "__init__"
    )
    assert {str(folder.relative_to(ROOT)): n for folder, n in files.items() if n > MOST_FILES} == {}


def test_unit_tests_mirror_the_sources() -> None:
    """`tests/unit/a/b/test_c.py` and `test_c_more.py` test the module `a.b.c`."""
    violations = []
    for source in modules_in("tests.unit"):
        folder, _, name = source.name.removeprefix("tests.unit").strip(".").rpartition(".")
        if name.startswith("test_"):
            words = name.removeprefix("test_").split("_")
            names = {f"{folder}.{'_'.join(words[:n])}" for n in range(1, len(words) + 1)}
            if not names & set(sources()):
                violations.append(source.name)
    assert violations == []


def test_no_function_is_over_70_lines() -> None:
    """A longer function does two things."""
    long = [
        f"{source.name}.{node.name}: {length(node)}"
        for source in sources().values()
        for node in functions(source)
        if length(node) > LONGEST_FUNCTION
    ]
    assert long == []


def test_the_median_file_is_short() -> None:
    """Half of the files have fewer than 150 lines."""
    assert statistics.median(s.lines for s in sources().values()) < MEDIAN_FILE


def test_packages_and_modules_have_specific_names() -> None:
    """No package or module has a name that fits every content."""
    vague = [name for name in sources() if VAGUE_NAMES & set(name.split("."))]
    assert vague == []


def test_every_module_opens_with_a_docstring() -> None:
    """Every module has a docstring."""
    missing = [name for name, source in sources().items() if not ast.get_docstring(source.tree)]
    assert missing == []


def test_package_files_hold_only_a_docstring() -> None:
    """Importing a package runs no code: `__init__.py` has only a docstring, except for exports."""
    violations = [
        source.name
        for package in SHIPPED
        for source in modules_in(package)
        if source.path.name == "__init__.py" and len(source.tree.body) > 1
        if source.name not in EXPORTING
    ]
    assert violations == []


@pytest.mark.parametrize(
    "pattern", [MACHINE_PATHS, REGISTRY_HOSTS], ids=["machine paths", "registry hosts"]
)
def test_tracked_text_names_no_machine(pattern: re.Pattern[str]) -> None:
    """No tracked file has a path of a machine or the host of a package registry."""
    violations = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # weights and images
        for number, line in enumerate(text.split("\n"), start=1):
            if pattern.search(line):
                violations.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert violations == []

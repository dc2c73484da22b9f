"""The measures of the house: sizes, names of rooms, docstrings, text that names no machine."""

import ast
import re
import statistics
from collections import Counter

import pytest

from tests.architecture.sources import Source, modules_in, sources, tracked_files
from tests.support.repository import ROOT

REFUSED_NAMES = {"utils", "util", "common", "core", "helpers", "helper", "base", "manager", "misc"}
LONGEST_FILE = 400
MOST_FILES = 15  # in a folder
LONGEST_FUNCTION = 70
MEDIAN_FILE = 150

# Spelled with a class for one character, so that this file does not find itself.
MACHINE_PATHS = re.compile(r"/(?:[r]oot|[w]ork)/|/(?:[h]ome|[U]sers)/\w")
REGISTRY_HOSTS = re.compile(
    r"[p]ypi\.org|[p]ythonhosted\.org|[d]ownload\.pytorch\.org|[g]hcr\.io|[q]uay\.io|[d]ocker\.io"
)


def functions(source: Source) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a module, nested ones included."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(source.tree) if isinstance(node, kinds)]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the last statement."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_file_is_over_400_lines() -> None:
    """A file that long holds two things."""
    assert [s.name for s in sources().values() if s.lines > LONGEST_FILE] == []


def test_no_folder_holds_more_than_15_files() -> None:
    """A folder of that many files holds two subjects."""
    files = Counter(
        path.parent for path in tracked_files() if path.suffix == ".py" and path.stem != "__init__"
    )
    assert {str(folder.relative_to(ROOT)): n for folder, n in files.items() if n > MOST_FILES} == {}


def test_unit_tests_mirror_the_sources() -> None:
    """`tests/unit/a/b/test_c.py` and `test_c_more.py` test the module `a.b.c`."""
    strays = []
    for source in modules_in("tests.unit"):
        folder, _, name = source.name.removeprefix("tests.unit").strip(".").rpartition(".")
        if name.startswith("test_"):
            words = name.removeprefix("test_").split("_")
            names = {f"{folder}.{'_'.join(words[:n])}" for n in range(1, len(words) + 1)}
            if not names & set(sources()):
                strays.append(source.name)
    assert strays == []


def test_no_function_is_over_70_lines() -> None:
    """A function that long does two things."""
    long = [
        f"{source.name}.{node.name}: {length(node)}"
        for source in sources().values()
        for node in functions(source)
        if length(node) > LONGEST_FUNCTION
    ]
    assert long == []


def test_the_median_file_is_short() -> None:
    """Half of the files that ship are under 150 lines."""
    assert statistics.median(s.lines for s in sources().values()) < MEDIAN_FILE


def test_rooms_and_files_say_what_lives_there() -> None:
    """No package or module has a name that would take anything in."""
    vague = [name for name in sources() if REFUSED_NAMES & set(name.split("."))]
    assert vague == []


def test_every_module_opens_with_a_docstring() -> None:
    """Each module says what it is before anything else."""
    silent = [name for name, source in sources().items() if not ast.get_docstring(source.tree)]
    assert silent == []


def test_package_files_hold_only_a_docstring() -> None:
    """Importing a package runs nothing: `__init__.py` is its description and no more."""
    busy = [
        source.name
        for room in ("model", "training", "service")
        for source in modules_in(room)
        if source.path.name == "__init__.py" and len(source.tree.body) > 1
    ]
    assert busy == []


@pytest.mark.parametrize(
    "pattern", [MACHINE_PATHS, REGISTRY_HOSTS], ids=["machine paths", "registry hosts"]
)
def test_tracked_text_names_no_machine(pattern: re.Pattern[str]) -> None:
    """No tracked file holds a path of someone's machine or the host of a package registry."""
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # weights and images
        for number, line in enumerate(text.split("\n"), start=1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []

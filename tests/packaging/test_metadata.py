"""The metadata of the distribution: one version, typed packages, complete dependencies."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from importlib.metadata import packages_distributions

import pytest
import yaml
from packaging.requirements import Requirement

from tests.architecture.sources import SHIPPED, modules_in, outside_imports
from tests.support.repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Packages that others pin exactly or are built on, so that a bound of our own could only conflict.
PROVIDED_BY = {"starlette": "fastapi", "pydantic-core": "pydantic"}


def requirements(names: list[str]) -> dict[str, Requirement]:
    """Requirements by the name of the distribution."""
    return {requirement.name: requirement for requirement in map(Requirement, names)}


def test_version_is_the_same_everywhere() -> None:
    """pyproject.toml states the version; the changelog and the citation file agree with it."""
    version = PROJECT["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)
    assert releases[0] == (version, citation["date-released"])
    assert citation["version"] == version


def test_changelog_has_the_standard_form() -> None:
    """The first section is Unreleased; sections have known headings and entries of one line."""
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    sections = [line for line in lines if line.startswith("## ")]
    assert sections[0] == "## [Unreleased]"
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert {line[4:] for line in lines if line.startswith("### ")} <= kinds
    assert [line for line in lines if line.startswith(" ")] == []


@pytest.mark.parametrize("package", SHIPPED)
def test_packages_are_marked_as_typed(package: str) -> None:
    """Each package has a py.typed file, so that type checkers read its annotations."""
    assert (ROOT / package / "py.typed").is_file()


def test_every_dependency_has_a_lower_bound() -> None:
    """Dependencies and extras for users name an oldest version, and no newest one."""
    extras = PROJECT["optional-dependencies"]
    names = [
        *PROJECT["dependencies"],
        *extras["datasets"],
        *extras["plots"],
        *extras["tensorboard"],
    ]
    for requirement in requirements(names).values():
        assert [bound.operator for bound in requirement.specifier] == [">="], str(requirement)


@pytest.mark.parametrize("package", SHIPPED)
def test_everything_imported_is_a_dependency(package: str) -> None:
    """Every import of the shipped packages is of the standard library, a dependency or an extra."""
    declared = requirements(
        [
            *PROJECT["dependencies"],
            *(name for names in PROJECT["optional-dependencies"].values() for name in names),
        ]
    )
    imported = set().union(*(outside_imports(source) for source in modules_in(package)))
    distributions = packages_distributions()
    for name in sorted(imported - set(sys.stdlib_module_names)):
        candidates = {candidate.lower().replace("_", "-") for candidate in distributions[name]}
        known = {PROVIDED_BY.get(candidate, candidate) for candidate in candidates}
        assert known & {declared_name.lower().replace("_", "-") for declared_name in declared}, name


def test_console_command_is_installed() -> None:
    """The entry point `unroll` names a function that exists."""
    (entry,) = metadata.entry_points(group="console_scripts", name="unroll")
    assert entry.value == PROJECT["scripts"]["unroll"]
    assert callable(entry.load())


def test_project_urls_have_the_labels_of_the_index() -> None:
    """The labels are well-known ones, which package indexes show with an icon."""
    expected = {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert set(PROJECT["urls"]) == expected

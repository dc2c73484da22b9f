"""The handwritten pages: links, names of files and of Python objects, error types, formats."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path, PurePosixPath

import pytest

from benchmarks.__main__ import parse_arguments as parse_benchmark
from docs.generate.pages import COPIED, GENERATED
from model.manifest import FORMAT_VERSION
from service.backend.settings import Settings
from service.engine.states.document_state_token import DOCUMENT_STATE_TOKEN_VERSION
from service.engine.states.state_token import STATE_TOKEN_VERSION
from tests.readme.pages import PAGES
from tests.support.repository import ROOT
from training.runs.checkpoint import CHECKPOINT_FORMAT

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)\s]*)?\)|!\[[^\]]*\]\(([^)\s]+)\)")
SOURCE = re.compile(
    r"`((?:model|training|service|benchmarks|tests|docs|docker|examples)/[\w./-]*)`"
)
BENCHMARK = re.compile(r"`python -m benchmarks ([^`]+)`")
OBJECT = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
# Error types as the tables and the raised errors of the service spell them.
ERROR_TYPE = re.compile(r'\b([45]\d\d)(?::|,) "([a-z_]+)"')
ERRORS = PAGES["docs/reference/errors.md"]
COMPATIBILITY = PAGES["docs/compatibility.md"]


def error_types() -> set[tuple[str, str]]:
    """Every status and type of error that the sources of the service name."""
    return {
        (match[1], match[2])
        for path in (ROOT / "service").rglob("*.py")
        for match in ERROR_TYPE.finditer(path.read_text(encoding="utf-8"))
    }


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    """Every relative link names a file of the repository or a generated page."""
    made = {f"docs/{path}" for path in (*GENERATED, *COPIED)}
    for match in LINK.finditer(PAGES[page]):
        target = match[1] or match[2]
        if not target.startswith(("http://", "https://")):
            path = (ROOT / page).parent / target
            relative = PurePosixPath(path.resolve().relative_to(ROOT))
            assert path.exists() or str(relative) in made, target


@pytest.mark.parametrize(
    "page", [page for page in PAGES if not page.startswith("docs/experiments")]
)
def test_sources_exist(page: str) -> None:
    """Every file or folder of the sources that a page names exists."""
    ignored_by_git = {"benchmarks/results/", "benchmarks/results/report.md"}
    named = set(SOURCE.findall(PAGES[page])) - ignored_by_git
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", OBJECT.findall(PAGES["docs/reference/python-api.md"]))
def test_public_names_exist(name: str) -> None:
    """Every name of the Python API can be imported from the module that the page shows."""
    module, _, attribute = name.rpartition(".")
    assert getattr(importlib.import_module(module), attribute).__doc__


@pytest.mark.parametrize("command", BENCHMARK.findall(PAGES["docs/performance.md"]))
def test_figures_can_be_measured_again(command: str) -> None:
    """The parser of the benchmarks accepts the command beside each figure."""
    parse_benchmark(shlex.split(command))


def test_every_error_type_has_its_remedy() -> None:
    """The page of errors has each type below its status, and no type that is never sent."""
    sections = re.split(
        r"^### (\d{3})$", ERRORS.partition("\n## Exit status")[0], flags=re.MULTILINE
    )
    described = {
        (status, name)
        for status, text in zip(sections[1::2], sections[2::2], strict=True)
        for name in re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE)
    }
    assert described == error_types()


def test_formats_have_their_numbers() -> None:
    """The page on compatibility states the numbers of the current formats."""
    assert f"`format_version` {FORMAT_VERSION} |" in COMPATIBILITY
    assert f"| Checkpoint | format {CHECKPOINT_FORMAT} |" in COMPATIBILITY
    assert f"| State token | format {STATE_TOKEN_VERSION} |" in COMPATIBILITY
    documents = f"| Document state token | format {DOCUMENT_STATE_TOKEN_VERSION} |"
    assert documents in COMPATIBILITY


def test_the_navigation_has_every_page() -> None:
    """Every page of docs/ and every generated page is in mkdocs.yml."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    pages = {str(Path(page).relative_to("docs")) for page in PAGES if page.startswith("docs/")}
    listed = re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)
    assert sorted(listed) == sorted({*pages, *GENERATED, *COPIED})


def test_experiments_are_listed_by_date() -> None:
    """Each experiment has a date and is in the index, newest first."""
    rows = re.findall(
        r"^\| (\d{4}-\d\d-\d\d) \| \[(.+?)\]\(", PAGES["docs/experiments.md"], re.MULTILINE
    )
    entries = []
    for path in sorted((ROOT / "docs/experiments").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        dated = re.findall(r"^## (.+)\n\n\*(\d{4}-\d\d-\d\d)\*$", text, re.MULTILINE)
        assert len(dated) == len(re.findall(r"^## ", text, re.MULTILINE)), path.name
        dates = [date for _, date in dated]
        assert dates == sorted(dates, reverse=True), path.name
        entries += [(date, title) for title, date in dated]
    assert sorted(rows) == sorted(entries)
    assert [date for date, _ in rows] == sorted((date for date, _ in rows), reverse=True)


def test_recommended_settings_exist_with_the_told_default() -> None:
    """Each option in the table of operations.md is a setting, and a plain number is its default."""
    rows = re.findall(
        r"^\| (`--[^|]+) \| ([^|]+) \|", PAGES["docs/guide/operations.md"], re.MULTILINE
    )
    assert len(rows) > 10
    for options, told in rows:
        for option in re.findall(r"`--([a-z-]+)`", options):
            field = Settings.model_fields[option.replace("-", "_")]
            if re.fullmatch(r"[\d,]+", told):
                assert field.default == int(told.replace(",", "")), option

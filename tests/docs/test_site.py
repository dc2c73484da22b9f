"""The built site: strict, complete, and without requests to other hosts."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT

LOADED = re.compile(r'<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')
IMPORTED = re.compile(r"url\(\s*[\"']?(?:https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` does."""
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed; `make docs` installs it")
    directory = tmp_path_factory.mktemp("site")
    ended = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", directory],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return directory


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    """Scripts, styles, fonts and images come from the site itself, so it works offline."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert LOADED.findall(page.read_text(encoding="utf-8")) == [], page.name
    for style in site.rglob("*.css"):
        assert IMPORTED.findall(style.read_text(encoding="utf-8")) == [], style.name


def test_generated_pages_are_part_of_the_site(site: Path) -> None:
    """The references, the document of the API and the search index are there; sources are not."""
    for name in ("http-api", "settings", "training-options", "python-api", "metrics"):
        assert (site / "reference" / f"{name}.html").is_file()
    assert "unroll_requests_total" in (site / "reference/metrics.html").read_text(encoding="utf-8")
    assert "load_artifact" in (site / "reference/python-api.html").read_text(encoding="utf-8")
    assert (site / "openapi.json").is_file()
    assert (site / "search/search_index.json").is_file()
    assert list(site.rglob("*.py")) == []

"""The files of the pages: which are served, how clients keep them, and what they may load."""

import gzip
import hashlib
import re
from pathlib import Path

import pytest
from starlette.datastructures import Headers

import service.playground
from service.playground.static_files import CONTENT_SECURITY_POLICY, MEDIA_TYPES, StaticFiles

DIRECTORY = Path(service.playground.__path__[0])
FILES = StaticFiles(DIRECTORY)
VENDORED = DIRECTORY / "api_reference" / "swagger-ui"
LONGEST_SCRIPT = 400


def own_files(suffix: str) -> list[Path]:
    """The files of a kind that are not vendored."""
    return [path for path in DIRECTORY.rglob(f"*{suffix}") if VENDORED not in path.parents]


def test_a_listed_file_is_served_with_its_type_and_policy() -> None:
    """The body is that of the file, and no other origin may be loaded from."""
    response = FILES.response("scripts/main.js", Headers({}))
    assert response is not None
    assert response.body == (DIRECTORY / "scripts" / "main.js").read_bytes()
    assert response.media_type == MEDIA_TYPES[".js"]
    assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    for directive in ("default-src 'none'", "script-src 'self'", "style-src 'self'"):
        assert directive in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_compressed_where_the_client_takes_it() -> None:
    """The same body, smaller."""
    response = FILES.response("scripts/main.js", Headers({"accept-encoding": "gzip, br"}))
    assert response is not None
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(response.body) == (DIRECTORY / "scripts" / "main.js").read_bytes()


def test_an_unchanged_file_is_not_sent_again() -> None:
    """304 for the ETag of the file, among others too, and 200 for that of another file."""
    etags = []
    for name in ("index.html", "icon.svg"):
        response = FILES.response(name, Headers({}))
        assert response is not None
        etags.append(response.headers["etag"])
    again = FILES.response("index.html", Headers({"if-none-match": f'"old", {etags[0]}'}))
    other = FILES.response("index.html", Headers({"if-none-match": etags[1]}))
    assert again is not None
    assert other is not None
    assert (again.status_code, again.body) == (304, b"")
    assert other.status_code == 200


@pytest.mark.parametrize(
    "name",
    ["", "__init__.py", "../app.py", "scripts", "/etc/hosts", "scripts/../index.html", "a\0b"],
)
def test_nothing_else_is_served(name: str) -> None:
    """Paths out of the directory, folders and sources are no files of the pages."""
    assert FILES.response(name, Headers({})) is None


def test_vendored_files_are_those_that_were_published() -> None:
    """Each has the digest that stands beside it."""
    for line in (VENDORED / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((VENDORED / name).read_bytes()).hexdigest() == digest, name
    assert "Apache License" in (VENDORED / "LICENSE").read_text()


@pytest.mark.parametrize("path", own_files(".html"), ids=lambda path: path.name)
def test_pages_hold_no_inline_script_or_style(path: Path) -> None:
    """The policy would refuse them; and what a page loads is one of the files."""
    html = path.read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)
    loaded = re.findall(r'(?:src|<link[^>]*href)="([^"]+)"', html)
    assert loaded
    assert {name.removeprefix("playground/") for name in loaded} <= set(FILES.names)


def test_scripts_import_files_that_are_there() -> None:
    """Each module is small, says in its first line what it holds, and imports files of the page."""
    for path in own_files(".js"):
        script = path.read_text(encoding="utf-8")
        assert script.startswith("// "), path
        assert script.count("\n") <= LONGEST_SCRIPT, path
        for name in re.findall(r'from "([^"]+)"', script):
            assert (path.parent / name).resolve().is_file(), (path, name)

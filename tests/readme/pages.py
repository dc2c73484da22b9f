"""The pages whose commands are run: README.md, CONTRIBUTING.md, and all of docs/ and examples/."""

from __future__ import annotations

from tests.readme.examples import Example, examples
from tests.support.repository import ROOT

PATHS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
PAGES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PATHS}


def requests(page: str) -> list[Example]:
    """The curl commands of a page, in their order."""
    return [example for example in examples(PAGES[page]) if example.calls[0][0] == "curl"]

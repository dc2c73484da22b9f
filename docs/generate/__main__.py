"""``python -m docs.generate``: writes the committed files of the documentation again."""

from __future__ import annotations

from docs.generate.openapi import DOCUMENT, document_text
from docs.generate.package_diagram import DIAGRAM, diagram


def main() -> None:
    """Writes ``docs/openapi.json`` and ``docs/images/packages.svg`` in place."""
    DOCUMENT.write_text(document_text(), encoding="utf-8")
    DIAGRAM.parent.mkdir(exist_ok=True)
    DIAGRAM.write_text(diagram(), encoding="utf-8")


if __name__ == "__main__":
    main()

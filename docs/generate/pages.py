"""The pages that exist only in the built site, by their path below docs/."""

from __future__ import annotations

from collections.abc import Callable

from docs.generate import http_api_page, settings_page, training_options_page
from docs.generate.openapi import ROOT

GENERATED: dict[str, Callable[[], str]] = {
    "reference/http-api.md": http_api_page.page,
    "reference/settings.md": settings_page.page,
    "reference/training-options.md": training_options_page.page,
}
# Files of the repository that are pages of the site as well.
COPIED = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}


def copied_text(source: str) -> str:
    """The text of a copied file, with its links changed to those of the site."""
    text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
    for page, original in COPIED.items():
        text = text.replace(f"]({original})", f"]({page})")
    return text

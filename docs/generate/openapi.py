"""The OpenAPI document of the service with its default settings, as committed in docs/openapi.json.

The service publishes the same document at ``/openapi.json``, with the bounds of its own settings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.app import create_app
from service.backend.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "openapi.json"
_PREFIX = "UNROLL_"


def document() -> dict[str, Any]:
    """Builds the document; the environment does not change it."""
    with _without_settings():
        return create_app(Settings(models=ROOT / "pretrained")).openapi()


def document_text() -> str:
    """The document as it is committed."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def committed_document() -> dict[str, Any]:
    """Reads ``docs/openapi.json``."""
    values: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return values


@contextmanager
def _without_settings() -> Iterator[None]:
    """Removes the service's variables from the environment for a while."""
    saved = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
    for name in saved:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(saved)

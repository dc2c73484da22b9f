"""The generated pages and the committed files agree with the code."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from docs.generate import http_api_page, settings_page, training_options_page
from docs.generate.json_schema import default_of, type_of
from docs.generate.markdown import sentence, table
from docs.generate.metrics_table import metrics_table
from docs.generate.openapi import committed_document, document
from docs.generate.package_diagram import DIAGRAM, diagram
from service.backend.settings import Settings
from tests.architecture.test_imports import ORDER


def without_version(values: dict[str, Any]) -> dict[str, Any]:
    """The document without the version of the package, which is not installed everywhere."""
    return {**values, "info": {**values["info"], "version": ""}}


def test_the_openapi_document_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/openapi.json is the document of the service with its default settings."""
    monkeypatch.setenv("UNROLL_MAX_TOKENS", "7")  # has no effect
    assert without_version(committed_document()) == without_version(document()), "make openapi"


def test_the_picture_of_the_packages_is_up_to_date() -> None:
    """docs/images/packages.svg shows the table of tests/architecture/test_imports.py."""
    picture = diagram()
    assert DIAGRAM.read_text(encoding="utf-8") == picture, "make openapi"
    for package, lines in ORDER.items():
        for part in (package.replace(".", "/") + "/", *" ".join(lines).split()):
            assert f">{part}</text>" in picture


def test_the_http_page_has_every_route_and_field() -> None:
    """Each operation of the document is a section, and each field of a schema is a row."""
    page = http_api_page.page()
    contents = committed_document()
    for path, operations in contents["paths"].items():
        for method in operations:
            assert f"## {method.upper()} {path}\n" in page
    for schema in contents["components"]["schemas"].values():
        for field in schema["properties"]:
            assert f"| `{field}`" in page


def test_the_settings_page_has_every_setting() -> None:
    """Each setting has its variable; secrets have no option, since a command line is public."""
    page = settings_page.page()
    for name in Settings.model_fields:
        assert f"`UNROLL_{name.upper()}`" in page
    assert "`--max-rows` | integer, 1 to 4,096 | `64` |" in page
    assert "`--state-key`" not in page
    assert "`--api-keys`" not in page


def test_the_page_of_training_options_has_every_option() -> None:
    """Each field of each recipe is an option with its help."""
    page = training_options_page.page()
    for recipe in training_options_page.RECIPES.values():
        for field in dataclasses.fields(recipe):
            option = "--" + field.name.removesuffix("_").replace("_", "-")
            assert f"| `{option}` |" in page
    assert "python -m training evaluate" in page
    assert "python -m training agreement" in page


def test_the_table_of_metrics_has_every_metric() -> None:
    """Metrics have the names that Prometheus reads, with their labels."""
    text = metrics_table()
    assert "| `unroll_requests_total` | counter | `route`, `status` |" in text
    assert "| `unroll_step_seconds` | histogram | `model` |" in text
    assert "| `unroll_build_info` | info | `version`, `python` |" in text


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 0, "maximum": 1000}, "integer, 0 to 1,000"),
        ({"type": "number", "exclusiveMinimum": 0}, "number, more than 0"),
        ({"type": "string", "maxLength": 9}, "string, at most 9 characters"),
        (
            {"type": "array", "items": {"type": "null"}, "maxItems": 3},
            "array of null, at most 3 items",
        ),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "boolean"),
        ({"enum": ["a", "b"]}, "`a`, `b`"),
        ({"$ref": "#/components/schemas/Choice"}, "[Choice](#choice)"),
    ],
)
def test_types_in_words(schema: dict[str, Any], words: str) -> None:
    """A type has its bounds; null, which stands for "not given", is left out."""
    assert type_of(schema) == words


def test_defaults_and_tables() -> None:
    """Defaults are JSON, null is none, and cells cannot break a table."""
    assert default_of({"default": "a"}) == '`"a"`'
    assert default_of({"default": None}) == ""
    assert sentence("a bound; see b") == "A bound; see b."
    assert table(("A",), [("x | y\nz",)]) == "| A |\n| --- |\n| x \\| y z |\n"

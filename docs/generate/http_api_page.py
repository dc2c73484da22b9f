"""The page "HTTP API", made from docs/openapi.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docs.generate.json_schema import REFERENCE, Schema, alternatives, default_of, type_of
from docs.generate.markdown import code, sentence, table
from docs.generate.openapi import committed_document

INTRODUCTION = """# HTTP API

This page is generated from [openapi.json](../openapi.json), the OpenAPI document of the service
with its default settings. A running service publishes its own document at `/openapi.json`, and at
`/docs` a page from which requests can be sent. Two more routes stand outside the document: `GET
/metrics` (see [Metrics](metrics.md)) and `GET /`, the index.
"""
SCHEMAS = "\n## Schemas\n\nObjects inside requests and answers.\n"
_JSON = "application/json"


def page() -> str:
    """The whole page in Markdown."""
    document = committed_document()
    schemas: dict[str, Schema] = document["components"]["schemas"]
    parts = [INTRODUCTION, document["info"]["description"] + "\n"]
    shown = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            request = _schema_name(operation.get("requestBody", {}))
            answer = _schema_name(operation["responses"]["200"])
            shown |= {request, answer}
            parts.append(f"\n## {method.upper()} {path}\n\n{_summary(operation)}")
            parts += _request(request, schemas)
            parts += _answer(operation["responses"]["200"], answer, schemas)
            parts.append(f"**Errors:** {_errors(operation)}.\n")
    parts.append(SCHEMAS)
    nested = json.dumps(schemas)  # an answer may also be part of another one
    for name, schema in schemas.items():
        if name not in shown or f'"{REFERENCE}{name}"' in nested:
            parts.append(f"\n### {name}\n\n{_description(schema)}{_fields(schema)}")
    return "\n".join(parts)


def _schema_name(body: Mapping[str, Any]) -> str:
    """The name of the schema of a JSON body; empty where there is no body."""
    reference: str = body.get("content", {}).get(_JSON, {}).get("schema", {}).get("$ref", "")
    return reference.rpartition("/")[2]


def _summary(operation: Mapping[str, Any]) -> str:
    return sentence(operation["summary"]) + "\n\n" + _description(operation)


def _description(value: Mapping[str, Any]) -> str:
    text = sentence(value.get("description", ""))
    return f"{text}\n\n" if text else ""


def _request(name: str, schemas: Mapping[str, Schema]) -> Iterator[str]:
    if not name:
        return
    schema = schemas[name]
    yield f"**Request:** `{name}`\n"
    yield _fields(schema)
    for example in schema.get("examples", [])[:1]:
        yield f"**Example:**\n\n```json\n{json.dumps(example, ensure_ascii=False)}\n```\n"


def _answer(response: Mapping[str, Any], name: str, schemas: Mapping[str, Schema]) -> Iterator[str]:
    description = response["description"]
    yield f"**Answer:** `{name}`\n"
    if description != "Successful Response":
        yield description + "\n"
    yield _fields(schemas[name])


def _errors(operation: Mapping[str, Any]) -> str:
    statuses = [status for status in operation["responses"] if status != "200"]
    return ", ".join(f"[{status}](errors.md#{status})" for status in statuses)


def _fields(schema: Schema) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (
            code(name) + (" (required)" if name in required and "default" not in field else ""),
            type_of(field),
            default_of(field),
            sentence(field.get("description", "")),
        )
        for name, field in schema.get("properties", {}).items()
        if alternatives(field)
    ]
    if not any(default for _, _, default, _ in rows):
        return table(("Field", "Type", "Description"), [(a, b, d) for a, b, _, d in rows])
    return table(("Field", "Type", "Default", "Description"), rows)

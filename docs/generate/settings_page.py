"""The page "Settings", made from `service.backend.settings.Settings`."""

from __future__ import annotations

from pydantic_settings import CLI_SUPPRESS

from docs.generate.json_schema import default_of, type_of
from docs.generate.markdown import code, sentence, table
from service.backend.settings import Settings

INTRODUCTION = """# Settings

This page is generated from the settings of the service. Each setting is an environment variable
and, unless it is a secret, an option of `python -m service`; an option overrides its variable. A
variable that is set to nothing counts as not set. Lists are written with commas between their
items. Switches have a second option that turns them off: `--no-access-log`.
"""
_SECRET = "variable only"


def page() -> str:
    """The whole page in Markdown."""
    properties = Settings.model_json_schema()["properties"]
    rows = []
    for name, field in Settings.model_fields.items():
        schema = properties[name]
        secret = CLI_SUPPRESS in field.metadata
        option = _SECRET if secret else code("--" + name.replace("_", "-"))
        rows.append(
            (
                f"`UNROLL_{name.upper()}`<br>{option}",
                _kind(type_of(schema)),
                default_of(schema),
                sentence(schema.get("description", "")),
            )
        )
    return INTRODUCTION + "\n" + table(("Setting", "Type", "Default", "Description"), rows)


def _kind(text: str) -> str:
    return text.replace("array of", "list of").replace("boolean", "switch")

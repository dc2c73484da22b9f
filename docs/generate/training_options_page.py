"""The page "Training options", made from the recipes and the help of the commands."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from docs.generate.markdown import code, sentence, table
from docs.generate.openapi import ROOT
from training.config.classifier import ClassifierRecipe
from training.config.gradients import GradientRecipe
from training.config.language_model import LanguageModelRecipe

INTRODUCTION = """# Training options

This page is generated from the recipes of the commands and from their `--help`. An option that
has no default is chosen by the run; the run writes the value into `DIR.run/recipe.toml`. In a
recipe file the name of an option has underscores and no leading hyphens: `--learning-rate` is
`learning_rate`. Switches have a second option that turns them off: `--no-tied`. Options of the
command line override those of the file.

`lm` and `classifier` also take `--out DIR` (the artifact), `--recipe FILE`, `--resume`,
`--overwrite` and `--tensorboard DIR`; `gradients` takes the first two and `--overwrite`.
"""
RECIPES: dict[str, type[Any]] = {
    "lm": LanguageModelRecipe,
    "classifier": ClassifierRecipe,
    "gradients": GradientRecipe,
}
MEASURING = (
    "predict",
    "evaluate",
    "agreement",
    "words",
    "describe",
    "units",
    "memory",
    "race",
    "export",
)
_KINDS = {int: "integer", float: "number", str: "text", bool: "switch"}


def page() -> str:
    """The whole page in Markdown."""
    parts = [INTRODUCTION]
    parts += [f"## {command}\n\n{options(recipe)}" for command, recipe in RECIPES.items()]
    parts += [f"## {command}\n\n```text\n{help_text(command)}```\n" for command in MEASURING]
    return "\n".join(parts)


def options(recipe: type[Any]) -> str:
    """A table of the options of one recipe."""
    annotations = get_type_hints(recipe)
    rows = [
        (
            code("--" + field.name.removesuffix("_").replace("_", "-")),
            _type_name(annotations[field.name]),
            _default(field.default),
            sentence(field.metadata["help"]),
        )
        for field in dataclasses.fields(recipe)
    ]
    return table(("Option", "Type", "Default", "Description"), rows)


def help_text(command: str) -> str:
    """What ``python -m training COMMAND --help`` prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "training", command, "--help"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "96", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(part for part in get_args(annotation) if part is not types.NoneType)
    if get_origin(annotation) is Literal:
        return ", ".join(code(value) for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"one or more: {_type_name(get_args(annotation)[0])}"
    return _KINDS[annotation]


def _default(value: object) -> str:
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return code(" ".join(map(str, value)))
    return code(value)

"""Options of a run: one dataclass is the command line, the recipe file and the record of the run.

Each option is a field with a help text; the parser's arguments and the keys of the TOML file are
its fields. A run writes the recipe it used, with what it chose by itself filled in, so that the
same recipe gives the same run. A field may end in an underscore where its name is a word of Python
(`from_`); the option does not. Knows no particular option: each command has its own dataclass.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from training.errors import RecipeError
from training.naming import nearest

Recipe = TypeVar("Recipe")
LARGEST = {int: 10**9, float: 1e100}
LARGEST_SEED, SMALLEST = 2**63 - 1, 1e-30
MOST_THREADS = 1024
Shape = tuple[type, bool, tuple[str, ...]]


def option(
    default: Any,
    text: str,
    *,
    metavar: str | None = None,
    fixed: bool = True,
    follows: tuple[str, ...] = (),
) -> Any:
    """A field of a recipe.

    Args:
        default: None when the run chooses by itself.
        text: what ``--help`` says.
        metavar: what ``--help`` calls the value.
        fixed: whether a resumed run must have the same value.
        follows: options that, given on the command line, discard the value of a recipe file.
    """
    metadata = {"help": text, "metavar": metavar, "fixed": fixed, "follows": follows}
    return dataclasses.field(default=default, metadata=metadata)


def add_options(parser: argparse.ArgumentParser, recipe: type[Any]) -> None:
    """One argument for each field; what is not given leaves no trace in the namespace."""
    for field in dataclasses.fields(recipe):
        kind, several, choices = _shape(recipe, field.name)
        arguments: dict[str, Any] = {
            "default": argparse.SUPPRESS,
            "help": field.metadata["help"].replace("%", "%%"),
            "dest": field.name,
        }
        if kind is bool:
            arguments["action"] = argparse.BooleanOptionalAction
        else:
            arguments["type"] = kind
            arguments["metavar"] = field.metadata["metavar"]
            arguments["choices"] = choices or None
            if several:
                arguments["nargs"] = "+"
        parser.add_argument("--" + _key(field).replace("_", "-"), **arguments)


def given_options(recipe: type[Any], namespace: argparse.Namespace) -> dict[str, Any]:
    """The options that stand on the command line, and no others."""
    names = [field.name for field in dataclasses.fields(recipe)]
    given = {name: getattr(namespace, name) for name in names if hasattr(namespace, name)}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}


def check_values(recipe: Any) -> None:
    """Refuses numbers that no computation takes and texts that no file is named by.

    Raises:
        RecipeError: the message names the option.
    """
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        flag = "--" + _key(field).replace("_", "-")
        parts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(part, str) and "\0" in part for part in parts):
            raise RecipeError(f"{flag}: expected text without NUL characters")
        if any(isinstance(part, float) and math.isnan(part) for part in parts):
            raise RecipeError(f"{flag}: expected a number, got nan")
        if field.name == "threads":
            check_threads(value)
        largest = LARGEST_SEED if field.name == "seed" else LARGEST.get(type(value), 0)
        if type(value) not in LARGEST or value == 0 or SMALLEST <= abs(value) <= largest:
            continue
        raise RecipeError(
            f"{flag}: expected a number of at most {largest:.3g} and, "
            f"if not 0, of at least {SMALLEST:g} in size, got {value}"
        )


def check_threads(asked: int | None) -> None:
    """Refuses more threads than any machine is asked for; each command has the option.

    Raises:
        RecipeError: there are too many.
    """
    if (asked or 0) > MOST_THREADS:
        raise RecipeError(f"--threads: expected at most {MOST_THREADS}, got {asked}")


def read_recipe(path: Path, recipe: type[Any]) -> dict[str, Any]:
    """The options in a TOML file, checked against the fields of ``recipe``.

    Raises:
        RecipeError: the file cannot be read, is no TOML, or holds an unknown or ill-typed option.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError
        raise RecipeError(f"{path}: not a TOML file: {error}") from None
    return checked_options(recipe, values, place=str(path))


def checked_options(recipe: type[Any], values: Mapping[str, Any], *, place: str) -> dict[str, Any]:
    """``values`` with every name and type checked and lists made tuples."""
    known = {_key(field): field.name for field in dataclasses.fields(recipe)}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise RecipeError(
                f"{place}: {name}: no such option{nearest(name, sorted(known))}; --help lists them"
            )
        checked[known[name]] = _checked(recipe, known[name], value, place)
    return checked


def write_recipe(path: Path, recipe: Any, *, heading: str) -> None:
    """Writes what :func:`recipe_text` gives."""
    path.write_text(recipe_text(recipe, heading=heading), encoding="utf-8")


def recipe_text(recipe: Any, *, heading: str) -> str:
    """The options as TOML; those that are None (chosen by the run) are left out."""
    lines = [f"# {line}".rstrip() for line in heading.split("\n")]
    lines += [f"{name} = {_toml(value)}" for name, value in recipe_values(recipe).items()]
    return "\n".join(lines) + "\n"


def recipe_values(recipe: Any) -> dict[str, Any]:
    """The options as plain values, without those that are None."""
    values = {_key(field): getattr(recipe, field.name) for field in dataclasses.fields(recipe)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value is not None
    }


def differences(recipe: Any, given: Mapping[str, Any]) -> list[str]:
    """Where options given for a resumed run differ from those it was begun with."""
    return [
        f"--{_key(field).replace('_', '-')} was {_told(getattr(recipe, field.name))}, "
        f"now {_told(given[field.name])}"
        for field in dataclasses.fields(recipe)
        if field.metadata["fixed"]
        and field.name in given
        and given[field.name] != getattr(recipe, field.name)
    ]


def _key(field: dataclasses.Field[Any]) -> str:
    """What the option is called in a file."""
    return field.name.removesuffix("_")


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "nothing"
    return "not set" if value is None else str(value)


@functools.cache
def _annotations(recipe: type[Any]) -> dict[str, Any]:
    return get_type_hints(recipe)


def _shape(recipe: type[Any], name: str) -> Shape:
    """Of a field's annotation: the type of one value, whether there are several, the choices."""
    kind = _annotations(recipe)[name]  # type: ignore[arg-type]  # classes can be hashed
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not types.NoneType)
    if get_origin(kind) is tuple:
        return get_args(kind)[0], True, ()
    if get_origin(kind) is Literal:
        return str, False, get_args(kind)
    return kind, False, ()


def _checked(recipe: type[Any], name: str, value: Any, place: str) -> Any:
    kind, several, choices = _shape(recipe, name)
    if several:
        if not isinstance(value, list | tuple) or any(type(part) is not kind for part in value):
            raise RecipeError(f"{place}: {name}: expected a list of {_kind_name(kind)}s")
        return tuple(value)
    if kind is float and type(value) is int and abs(value) <= 2**1000:
        value = float(value)
    if type(value) is not kind:
        told = repr(value)[:60]
        raise RecipeError(f"{place}: {name}: expected a {_kind_name(kind)}, got {told}")
    if choices and value not in choices:
        raise RecipeError(f"{place}: {name}: expected one of {', '.join(choices)}, got {value!r}")
    return value


def _kind_name(kind: type) -> str:
    names = {int: "whole number", float: "number", str: "string", bool: "true or false"}
    return names[kind]


def _toml(value: Any) -> str:
    """A value as TOML, whose strings, numbers, booleans and lists are those of JSON."""
    if isinstance(value, str):
        # DEL is the one character that JSON writes as it is and TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)

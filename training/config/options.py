"""Command-line options and recipe files of a command, declared once as a frozen dataclass.

Each option is a field made by :func:`option`: its type, default, range and help text. From these
come the arguments of ``argparse``, the keys of the TOML file, all checks, and the recipe that a run
writes. A field whose name is a Python keyword ends in an underscore (``from_``); its option does
not.

Built on ``argparse``: tyro has no recipe files, jsonargparse no ``--no-x``, and either would leave
ranges, options that a resumed run keeps, and writing the recipe to this module.

Example:
    >>> @dataclass(frozen=True, kw_only=True)
    ... class Recipe:
    ...     layers: int = option(2, "number of recurrent layers", metavar="N", above=0)
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import operator
import tomllib
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from training.errors import RecipeError, suggest

MAX_MAGNITUDE = {int: 10**9, float: 1e100}  # unless the option has an upper bound
MIN_MAGNITUDE = 1e-30  # of a number that is not 0
MAX_THREADS = 1024
BOUNDS = {
    "at_least": (operator.ge, "{} or more"),
    "above": (operator.gt, "more than {}"),
    "at_most": (operator.le, "at most {}"),
    "below": (operator.lt, "less than {}"),
}
TYPE_NAMES = {int: "whole number", float: "number", str: "string", bool: "true or false"}


class OptionType(NamedTuple):
    """The type of a value, whether the option takes several, and the choices if it has any."""

    kind: type
    several: bool
    choices: tuple[str, ...]


def option(
    default: Any,
    text: str,
    *,
    metavar: str | None = None,
    unset: str | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    fixed: bool = True,
    follows: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    positional: bool = False,
) -> Any:
    """A field of a recipe.

    Args:
        default: the value; None if the command chooses one, ``...`` if the option is required.
        text: the help text.
        metavar: the name of the value in the help text.
        unset: the default in the help text, where ``default`` does not show it.
        at_least: the smallest value.
        above: a bound below the smallest value.
        at_most: the largest value.
        below: a bound above the largest value.
        fixed: whether a resumed run must have the same value.
        follows: options that, given on the command line, discard the value of the recipe file.
        aliases: further names of the option, on the command line and in recipe files.
        positional: whether the command line takes the value without the name of the option.
    """
    bounds = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    metadata = {
        "help": text,
        "metavar": metavar,
        "unset": unset,
        "bounds": {name: bound for name, bound in bounds.items() if bound is not None},
        "fixed": fixed,
        "follows": follows,
        "aliases": aliases,
        "positional": positional,
    }
    if default is ...:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def add_options(parser: argparse.ArgumentParser, recipe: type[Any]) -> None:
    """Adds an argument for each field of ``recipe``; one that is not given leaves no attribute."""
    for field in dataclasses.fields(recipe):
        kind, several, choices = option_type(recipe, field.name)
        arguments: dict[str, Any] = {"help": _help_text(field).replace("%", "%%")}
        if kind is bool:
            arguments["action"] = argparse.BooleanOptionalAction
        else:
            arguments["type"] = kind
            arguments["metavar"] = field.metadata["metavar"]
            arguments["choices"] = choices or None
            if several:
                arguments["nargs"] = "+"
        if field.metadata["positional"]:
            parser.add_argument(field.name, **arguments)
            continue
        parser.add_argument(
            *map(_as_flag, (_key(field), *field.metadata["aliases"])),
            dest=field.name,
            default=argparse.SUPPRESS,
            required=field.default is dataclasses.MISSING,
            **arguments,
        )


def given_options(recipe: type[Any], namespace: argparse.Namespace) -> dict[str, Any]:
    """The options that were given on the command line, by field."""
    names = [field.name for field in dataclasses.fields(recipe)]
    given = {name: getattr(namespace, name) for name in names if hasattr(namespace, name)}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}


def check_values(recipe: Any) -> None:
    """Checks the value of every option against its range.

    Raises:
        RecipeError: a number is out of range, or a text holds a NUL character.
    """
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        parts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(part, str) and "\0" in part for part in parts):
            raise RecipeError(f"{_flag(field)}: expected text without NUL characters")
        if type(value) in MAX_MAGNITUDE:
            _check_number(field, value)


def check_threads(threads: int | None) -> None:
    """Checks a number of threads; None means all processors.

    Raises:
        RecipeError: the number is larger than `MAX_THREADS`.
    """
    if (threads or 0) > MAX_THREADS:
        raise RecipeError(f"--threads: expected at most {MAX_THREADS}, got {threads}")


def read_recipe(path: Path, recipe: type[Any]) -> dict[str, Any]:
    """The options in a TOML file, by field of ``recipe``.

    Raises:
        RecipeError: the file cannot be read, is not TOML, or holds an unknown or ill-typed option.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError
        raise RecipeError(f"{path}: not a TOML file: {error}") from None
    return checked_options(recipe, values, place=str(path))


def checked_options(recipe: type[Any], values: Mapping[str, Any], *, place: str) -> dict[str, Any]:
    """``values`` by field of ``recipe``, with lists made tuples.

    Raises:
        RecipeError: an option is unknown or ill-typed; the message begins with ``place``.
    """
    known = {_key(field): field.name for field in dataclasses.fields(recipe)}
    aliases = {
        alias: field.name
        for field in dataclasses.fields(recipe)
        for alias in field.metadata["aliases"]
    }
    checked: dict[str, Any] = {}
    for key, value in values.items():
        name = known.get(key) or aliases.get(key)
        if name is None:
            raise RecipeError(
                f"{place}: {key}: no such option{suggest(key, sorted(known))}; --help lists them"
            )
        checked[name] = _checked_value(recipe, name, value, place)
    return checked


def write_recipe(path: Path, recipe: Any, *, heading: str) -> None:
    """Writes :func:`recipe_text` to a file."""
    path.write_text(recipe_text(recipe, heading=heading), encoding="utf-8")


def recipe_text(recipe: Any, *, heading: str) -> str:
    """The options as TOML under ``heading`` as a comment, without those that are None."""
    lines = [f"# {line}".rstrip() for line in heading.split("\n")]
    lines += [f"{name} = {_toml(value)}" for name, value in recipe_values(recipe).items()]
    return "\n".join(lines) + "\n"


def recipe_values(recipe: Any) -> dict[str, Any]:
    """The options as JSON values by their key in a recipe file, without those that are None."""
    values = {_key(field): getattr(recipe, field.name) for field in dataclasses.fields(recipe)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value is not None
    }


def differences(recipe: Any, given: Mapping[str, Any]) -> list[str]:
    """The fixed options whose ``given`` value is not that of ``recipe``, each as a text."""
    return [
        f"{_flag(field)} was {_value_text(getattr(recipe, field.name))}, "
        f"now {_value_text(given[field.name])}"
        for field in dataclasses.fields(recipe)
        if field.metadata["fixed"]
        and field.name in given
        and given[field.name] != getattr(recipe, field.name)
    ]


def discarded_options(recipe: type[Any], given: Mapping[str, Any]) -> Iterator[str]:
    """The fields whose value in a recipe file is discarded by the ``given`` options."""
    for field in dataclasses.fields(recipe):
        if given.keys() & field.metadata["follows"]:
            yield field.name


def option_type(recipe: type[Any], name: str) -> OptionType:
    """The type of a field, from its annotation."""
    kind = _annotations(recipe)[name]  # type: ignore[arg-type]  # classes can be hashed
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not types.NoneType)
    if get_origin(kind) is tuple:
        return OptionType(get_args(kind)[0], True, ())
    if get_origin(kind) is Literal:
        return OptionType(str, False, get_args(kind))
    return OptionType(kind, False, ())


@functools.cache
def _annotations(recipe: type[Any]) -> dict[str, Any]:
    return get_type_hints(recipe)


def _key(field: dataclasses.Field[Any]) -> str:
    """The name of the option in a recipe file."""
    return field.name.removesuffix("_")


def _flag(field: dataclasses.Field[Any]) -> str:
    """The name of the option on the command line."""
    return _as_flag(_key(field))


def _as_flag(key: str) -> str:
    return "--" + key.replace("_", "-")


def _help_text(field: dataclasses.Field[Any]) -> str:
    default = field.default
    if default is dataclasses.MISSING:
        return str(field.metadata["help"])
    if isinstance(default, bool):
        text = "yes" if default else "no"
    elif default in (None, ()):
        text = field.metadata["unset"] or "none"
    elif isinstance(default, tuple):
        text = " ".join(f"{part:g}" if isinstance(part, float) else str(part) for part in default)
    else:
        text = f"{default:,}" if isinstance(default, int) else str(default)
    return f"{field.metadata['help']} (default: {text})"


def _check_number(field: dataclasses.Field[Any], value: float) -> None:
    if math.isnan(value):
        raise RecipeError(f"{_flag(field)}: expected a number, got nan")
    bounds = field.metadata["bounds"]
    for name, bound in bounds.items():
        holds, wording = BOUNDS[name]
        if not holds(value, bound):
            expected = wording.format(bound if bound < 10_000 else f"{bound:,}")
            raise RecipeError(f"{_flag(field)}: expected {expected}, got {value}")
    limit = bounds.get("at_most", MAX_MAGNITUDE[type(value)])
    if value != 0 and not MIN_MAGNITUDE <= abs(value) <= limit:
        raise RecipeError(
            f"{_flag(field)}: expected a number of at most {limit:.3g} and, "
            f"if not 0, of at least {MIN_MAGNITUDE:g} in size, got {value}"
        )


def _checked_value(recipe: type[Any], name: str, value: Any, place: str) -> Any:
    kind, several, choices = option_type(recipe, name)
    if several:
        value = value if isinstance(value, list | tuple) else [value]
        if kind is float:
            value = [float(part) if type(part) is int else part for part in value]
        if any(type(part) is not kind for part in value):
            raise RecipeError(f"{place}: {name}: expected a list of {TYPE_NAMES[kind]}s")
        return tuple(value)
    if kind is float and type(value) is int and abs(value) <= 2**1000:
        value = float(value)
    if type(value) is not kind:
        shown = repr(value)[:60]
        raise RecipeError(f"{place}: {name}: expected a {TYPE_NAMES[kind]}, got {shown}")
    if choices and value not in choices:
        raise RecipeError(f"{place}: {name}: expected one of {', '.join(choices)}, got {value!r}")
    return value


def _value_text(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "nothing"
    return "not set" if value is None else str(value)


def _toml(value: Any) -> str:
    """A value as TOML, whose strings, numbers, booleans and lists are those of JSON."""
    if isinstance(value, str):
        # DEL is the one character that JSON writes unescaped and TOML requires to be escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)

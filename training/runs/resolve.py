"""The options of a run from where they come: defaults, recipe file, command line, an earlier run.

Works for the recipe of any command; knows the options that all have: `name`, and which are fixed
for the length of a run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from model.manifest import NAME_PATTERN
from training.config.options import checked_options, differences, read_recipe
from training.errors import DataError, RecipeError
from training.runs.directory import Invocation

Recipe = TypeVar("Recipe")


def options_given(kind: type[Any], invocation: Invocation) -> dict[str, Any]:
    """Those of the recipe file, and before them those of the command line.

    Raises:
        RecipeError: the file cannot be used.
    """
    given = dict(invocation.given)
    if invocation.recipe_file is None:
        return given
    read = read_recipe(invocation.recipe_file, kind)
    for field in dataclasses.fields(kind):
        if given.keys() & field.metadata["follows"]:
            read.pop(field.name, None)
    return read | given


def fresh_recipe(kind: type[Recipe], invocation: Invocation) -> Recipe:
    """Of a run that begins: the recipe file's options, those of the command line before them.

    Raises:
        RecipeError: an option cannot be used.
    """
    given = options_given(kind, invocation)
    name = given.setdefault("name", invocation.out.resolve().name)
    if not NAME_PATTERN.fullmatch(name):
        raise RecipeError(
            f"--name: expected at most 100 letters, digits, '.', '_' and '-', got {name!r}; "
            "without --name it is that of --out"
        )
    return kind(**given)


def resumed_recipe(kind: type[Recipe], invocation: Invocation, stored: Mapping[str, Any]) -> Recipe:
    """Of a run that goes on: as it was begun, but for options that do not change its course.

    Raises:
        RecipeError: an option was given another value than the run was begun with.
    """
    recipe = kind(**checked_options(kind, stored, place=str(invocation.out)))
    given = options_given(kind, invocation)
    changed = differences(recipe, given)
    if changed:
        raise RecipeError(
            f"--resume: {'; '.join(changed)}. A resumed run keeps its options: leave them out, or "
            "begin anew with --overwrite"
        )
    free = {f.name for f in dataclasses.fields(kind) if not f.metadata["fixed"]}  # type: ignore[arg-type]
    return dataclasses.replace(recipe, **{n: v for n, v in given.items() if n in free})  # type: ignore[type-var]


@contextmanager
def reading_data(*, resumed: bool) -> Iterator[None]:
    """Adds to what is wrong with the data what to do where a run goes on from a checkpoint."""
    try:
        yield
    except DataError as error:
        if not resumed:
            raise
        raise DataError(
            f"{error}. Restore the data, then continue with --resume: the checkpoint is kept"
        ) from None

"""The recipe of a run from its sources: defaults, recipe file, command line, checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from model.manifest import NAME_PATTERN
from training.config.options import checked_options, differences, discarded_options, read_recipe
from training.errors import DataError, RecipeError
from training.runs.directory import Invocation

Recipe = TypeVar("Recipe")


def options_given(kind: type[Any], invocation: Invocation) -> dict[str, Any]:
    """The options of the recipe file and of the command line, which takes precedence.

    Raises:
        RecipeError: the file cannot be used.
    """
    given = dict(invocation.given)
    if invocation.recipe_file is None:
        return given
    from_file = read_recipe(invocation.recipe_file, kind)
    for name in discarded_options(kind, given):
        from_file.pop(name, None)
    return from_file | given


def fresh_recipe(kind: type[Recipe], invocation: Invocation) -> Recipe:
    """The recipe of a run that begins.

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
    """The recipe of a run that continues: the one ``stored``, but for options that are not fixed.

    Raises:
        RecipeError: a fixed option was given another value than it has in ``stored``.
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
    """A block that reads the data of a run.

    Raises:
        DataError: as in the block; for a ``resumed`` run the message names the remedy.
    """
    try:
        yield
    except DataError as error:
        if not resumed:
            raise
        raise DataError(
            f"{error}. Restore the data, then continue with --resume: the checkpoint is kept"
        ) from None

"""Options: one dataclass as command line, recipe file and record of a run."""

import argparse
import dataclasses
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.commands.cli import TRAINING_COMMANDS, build_parser
from training.config.classifier import ClassifierRecipe
from training.config.gradients import GradientRecipe
from training.config.language_model import LanguageModelRecipe
from training.config.language_model_defaults import CorpusSize, complete_language_model
from training.config.options import (
    add_options,
    check_values,
    checked_options,
    differences,
    given_options,
    option,
    read_recipe,
    recipe_values,
    write_recipe,
)
from training.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One option of every type."""

    files: tuple[str, ...] = option((), "files")
    size: int | None = option(None, "a size")
    rate: float = option(0.5, "a rate, 100 %")
    kind: Literal["plain", "fancy"] = option("plain", "a kind")
    tied: bool | None = option(None, "a flag")
    threads: int | None = option(None, "threads", unset="all", fixed=False)
    license: str | None = option(None, "a license", aliases=("licence",))


@dataclass(frozen=True, kw_only=True)
class Bounded:
    """Options with a range."""

    share: float = option(0.5, "a share", at_least=0, below=1)
    width: int = option(3, "a width", above=0, at_most=9)

    def __post_init__(self) -> None:
        check_values(self)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    files=st.lists(TEXTS, max_size=3).map(tuple),
    size=st.none() | st.integers(-(2**40), 2**40),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    tied=st.none() | st.booleans(),
)
def test_a_recipe_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    files: tuple[str, ...],
    size: int | None,
    rate: float,
    tied: bool | None,
) -> None:
    """A recipe of any values, with quotes and control characters, is read as it was written."""
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    recipe = Sample(files=files, size=size, rate=rate, kind="fancy", tied=tied)
    write_recipe(path, recipe, heading="Two\nlines")
    assert Sample(**read_recipe(path, Sample)) == recipe


def parse(*arguments: str) -> dict[str, Any]:
    """The options given on a command line."""
    parser = argparse.ArgumentParser()
    add_options(parser, Sample)
    return given_options(Sample, parser.parse_args(arguments))


def test_an_option_has_its_alias_on_the_command_line_and_in_a_recipe_file() -> None:
    """The recipe that is written has the name alone."""
    assert parse("--licence", "MIT") == parse("--license", "MIT") == {"license": "MIT"}
    assert checked_options(Sample, {"licence": "MIT"}, place="x") == {"license": "MIT"}
    assert recipe_values(Sample(license="MIT"))["license"] == "MIT"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": -0.1}, "--share: expected 0 or more, got -0.1"),
        ({"share": 1.0}, "--share: expected less than 1, got 1.0"),
        ({"share": math.nan}, "--share: expected a number, got nan"),
        ({"width": 0}, "--width: expected more than 0, got 0"),
        ({"width": 10}, "--width: expected at most 9, got 10"),
    ],
)
def test_a_value_out_of_range_is_refused(values: dict[str, Any], message: str) -> None:
    """The message names the option, its bound and the value."""
    with pytest.raises(RecipeError) as caught:
        Bounded(**values)
    assert str(caught.value) == message


def test_help_names_the_default() -> None:
    """The value, or the description of the value that the command chooses."""
    parser = argparse.ArgumentParser()
    add_options(parser, Sample)
    text = " ".join(parser.format_help().split())
    assert "a rate, 100 % (default: 0.5)" in text
    assert "files (default: none)" in text
    assert "threads (default: all)" in text


@pytest.mark.parametrize("command", [subcommand.name for subcommand in TRAINING_COMMANDS])
def test_help_names_the_default_of_every_option_of_a_command(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Positional and required arguments have none."""
    with pytest.raises(SystemExit):
        build_parser().parse_args([command, "--help"])
    _, _, options = capsys.readouterr().out.partition("\noptions:\n")
    for text in re.split(r"\n  (?=--)", options)[1:]:
        name = text.split(maxsplit=1)[0]
        assert name in {"--out", "--data", "--onnx"} or re.search(r"\(default:\s", text), name


def test_only_options_that_were_given_count() -> None:
    """Only given options override those of a recipe file."""
    assert parse() == {}
    assert parse("--files", "a", "b", "--no-tied", "--rate", "1") == {
        "files": ("a", "b"),
        "tied": False,
        "rate": 1.0,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wide = 3", "wide: no such option"),
        ('size = "3"', "size: expected a whole number, got '3'"),
        ("size = true", "size: expected a whole number"),
        ("tied = 1", "tied: expected a true or false"),
        ('kind = "odd"', "kind: expected one of plain, fancy"),
        ("files = 5", "files: expected a list of strings"),
        ("size = ", "not a TOML file"),
        ('"\\u0000" = 1', "no such option"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    """The message names the file and the option."""
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, Sample)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_recipe_is_reported() -> None:
    """With its name."""
    with pytest.raises(RecipeError, match=r"nowhere\.toml"):
        read_recipe(Path("nowhere.toml"), Sample)


def test_whole_numbers_are_numbers() -> None:
    """An integer in TOML is accepted for an option of a float."""
    assert checked_options(Sample, {"rate": 1}, place="x") == {"rate": 1.0}


def test_differences_name_fixed_options_only() -> None:
    """A resumed run may use other threads, but not another size."""
    begun = Sample(size=3, threads=1)
    assert differences(begun, {"size": 4, "threads": 2}) == ["--size was 3, now 4"]
    assert differences(begun, {"size": 3}) == []


@pytest.mark.parametrize(
    "values",
    [
        {"dropout_input": 1.0},
        {"hidden": 0},
        {"minutes": -1.0},
        {"minutes": float("inf")},
        {"minutes": 1.0, "steps": 3},
        {"learning_rate": 0.0},
        {"clip_norm": -0.1},
        {"seed": -1},
        {"holdout": 1.5},
        {"division": 0},
        {"division": 2, "softmax": "full"},
        {"outer_momentum": 0.9},
        {"outer_learning_rate": 0.7},
    ],
)
def test_language_model_options_out_of_range_are_refused(values: dict[str, Any]) -> None:
    """The message names the option as the command line spells it."""
    with pytest.raises(RecipeError, match="--" + next(iter(values)).replace("_", "-")):
        LanguageModelRecipe(**values)


@given(
    tokenizer=st.sampled_from(["word", "char", "bpe"]),
    minutes=st.floats(0.1, 1000),
    tokens=st.integers(1, 10**9),
    vocabulary=st.integers(3, 10**6),
)
def test_a_completed_recipe_has_all_the_network_needs(
    tokenizer: Any, minutes: float, tokens: int, vocabulary: int
) -> None:
    """Completing a recipe again changes nothing, so a recorded recipe repeats its run."""
    size = CorpusSize(tokens=tokens, vocabulary=vocabulary)
    recipe = complete_language_model(
        LanguageModelRecipe(tokenizer=tokenizer, minutes=minutes), size
    )
    assert recipe.hidden
    assert recipe.batch
    assert recipe.learning_rate
    assert not recipe.tied or (recipe.projection or recipe.hidden) == recipe.embedding
    assert complete_language_model(recipe, size) == recipe
    assert complete_language_model(LanguageModelRecipe(**checked_values(recipe)), size) == recipe


def test_an_adaptive_softmax_is_cut_by_the_size_of_the_vocabulary() -> None:
    """Chosen and given cutoffs are recorded and stay."""
    size = CorpusSize(tokens=10**6, vocabulary=6_000)
    recipe = complete_language_model(LanguageModelRecipe(softmax="adaptive"), size)
    assert (recipe.cutoffs, recipe.division) == ((2_000,), 4)
    assert complete_language_model(LanguageModelRecipe(**checked_values(recipe)), size) == recipe
    asked = LanguageModelRecipe(softmax="adaptive", cutoffs=(5, 70), division=3)
    kept = complete_language_model(asked, size)
    assert (kept.cutoffs, kept.division) == ((5, 70), 3)


def checked_values(recipe: LanguageModelRecipe) -> dict[str, Any]:
    """The values as they come back from a file."""
    return checked_options(LanguageModelRecipe, recipe_values(recipe), place="recipe")


def test_dropout_grows_with_the_passes_over_the_data() -> None:
    """A glance needs none; what was given is kept."""

    def chosen(epochs: float, **given: float) -> LanguageModelRecipe:
        size = CorpusSize(tokens=10**6, vocabulary=10**4)
        return complete_language_model(LanguageModelRecipe(epochs=epochs, **given), size)  # type: ignore[arg-type]

    inputs = [chosen(epochs).dropout_input for epochs in (0.1, 4, 7, 10, 20, 40, 400)]
    assert inputs == [0.0, 0.0, 0.175, 0.35, 0.425, 0.5, 0.5]
    assert chosen(40, dropout_input=0.1).dropout_input == 0.1


def test_candidates_grow_with_the_vocabulary() -> None:
    """Within bounds; a small vocabulary is normalized over in full; what was given is kept."""

    def chosen(vocabulary: int, **given: int) -> tuple[str | None, int | None]:
        size = CorpusSize(tokens=10**6, vocabulary=vocabulary)
        recipe = complete_language_model(LanguageModelRecipe(epochs=1, **given), size)  # type: ignore[arg-type]
        return recipe.softmax, recipe.candidates

    assert chosen(5_000)[0] == "full"
    candidates = [chosen(vocabulary) for vocabulary in (10_000, 24_000, 33_000, 10**6)]
    assert candidates == [("sampled", many) for many in (1_200, 2_000, 2_500, 2_500)]
    assert chosen(10_000, candidates=77)[1] == 77


def test_a_slower_machine_trains_a_narrower_network() -> None:
    """The width follows the text read within --minutes; with epochs the speed has no effect."""
    size = CorpusSize(tokens=10**6, vocabulary=10**4)

    def width(speed: float, **budget: float) -> int:
        return complete_language_model(LanguageModelRecipe(**budget), size, speed).hidden or 0  # type: ignore[arg-type]

    widths = [width(speed, minutes=10) for speed in (1e9, 2e10, 5e10, 1e11, 2e11, 1e13)]
    assert widths == sorted(widths)
    assert widths[0] < widths[2] < widths[4] < widths[5]
    assert width(1e9, epochs=10) == width(1e13, epochs=10)


def test_no_projection_survives_the_recipe() -> None:
    """`--projection 0` is a choice, and must not be made again when the run is repeated."""
    size = CorpusSize(tokens=1000, vocabulary=100)
    asked = LanguageModelRecipe(hidden=64, embedding=32, tied=False, projection=0)
    recipe = complete_language_model(asked, size)
    assert not recipe.projection
    assert complete_language_model(LanguageModelRecipe(**checked_values(recipe)), size) == recipe


@pytest.mark.parametrize("kind", [LanguageModelRecipe, ClassifierRecipe, GradientRecipe])
def test_no_number_is_beyond_what_can_be_computed_with(kind: type[Any]) -> None:
    """Every number option refuses infinity, NaN and numbers too large for the machine."""
    for field in dataclasses.fields(kind):
        number = type(field.default) is float or "float" in str(field.type)
        whole = type(field.default) is int or str(field.type).startswith("int")
        for value in (math.inf, math.nan, 1e308, 10**30) if number or whole else ():
            with pytest.raises(RecipeError, match=r"--[a-z-]+: "):
                kind(**{field.name: value})


@pytest.mark.parametrize("kind", [LanguageModelRecipe, ClassifierRecipe, GradientRecipe])
def test_threads_have_one_bound(kind: type[Any]) -> None:
    """Every command refuses too many threads and names the option."""
    assert kind(threads=1024).threads == 1024
    for threads in (1025, 10**11):
        with pytest.raises(RecipeError, match="--threads: expected at most 1024, got"):
            kind(threads=threads)


def test_a_path_with_a_nul_is_refused() -> None:
    """No file can have that name."""
    with pytest.raises(RecipeError, match="--train: expected text without NUL"):
        LanguageModelRecipe(train=("a", "b\0"))
    with pytest.raises(RecipeError, match="--from: expected text without NUL"):
        ClassifierRecipe(from_="\0")


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path: Path) -> None:
    """A byte order mark, which some editors write, is skipped."""
    (tmp_path / "r.toml").write_bytes(b"\xef\xbb\xbfsteps = 2\n")
    assert read_recipe(tmp_path / "r.toml", LanguageModelRecipe) == {"steps": 2}

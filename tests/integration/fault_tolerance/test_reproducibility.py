"""Runs that give the same weights again at any speed of the clock."""

import ast
import tomllib
from pathlib import Path

import pytest

from model.artifact import load_artifact
from model.linear_ngrams import LinearNgrams
from tests.architecture.sources import modules_in, outside_imports
from tests.integration.fault_tolerance.test_crash_recovery import classifier_options
from tests.support.training.forked import run_forked
from tests.support.training.language_model_command import (
    EXACT,
    assert_one_line,
    assert_same_weights,
    corpus_options,
)
from training.commands.cli import main
from training.config.time_budget import PACE_PARTS, ReplayableClock
from training.data.batching import EncodedDocuments
from training.runtime import precision
from training.trainers.linear_classifier import FEWEST_RUNS, STRENGTHS, extent_within

pytestmark = pytest.mark.slow


def by_clock(leap: float, seed: int, *options: str) -> str:
    """Runs the command under a synthetic clock; returns its standard error."""
    module = "tests.support.training.skewed_clock"
    result = run_forked(str(leap), str(seed), *options, module=module)
    assert result.returncode == 0, result.stderr
    return result.stderr


def minutes_options(command: str, directory: Path, minutes: float) -> list[str]:
    """The options of a small run of either command with a time budget."""
    name = ["--name", "same", "--minutes", str(minutes)]
    if command == "lm":
        return [command, *corpus_options(directory), *name]
    options = classifier_options(directory)
    options[options.index("--epochs") + 1] = "1000"
    return [command, *options, "--linear-buckets", "64", *name]


@pytest.mark.parametrize("command", ["lm", "classifier"])
def test_where_epochs_end_a_run_no_clock_changes_it(tmp_path: Path, command: str) -> None:
    """A clock that leaps hours during the preparation changes no weights of a run of epochs."""
    options = corpus_options(tmp_path) if command == "lm" else classifier_options(tmp_path)
    ending = ["--epochs", "2"] if command == "lm" else ["--epochs", "2", "--minutes", "1000"]
    first, second = tmp_path / "first", tmp_path / "second"
    for leap, out in ((0, first), (5000, second)):
        output = by_clock(leap, leap, command, *options, *ending, "--name", "m", "--out", str(out))
        assert "the clock decided" not in output
    assert_same_weights(first, second)


@pytest.mark.parametrize("command", ["lm", "classifier"])
def test_a_run_that_the_clock_ended_repeats_from_its_recipe(tmp_path: Path, command: str) -> None:
    """The recipe repeats the run under another clock, without further options."""
    options, first, second = minutes_options(command, tmp_path, 0.2), tmp_path / "1", tmp_path / "2"
    output = by_clock(0, 1, *options, "--out", str(first))
    assert "the clock decided this run" in output
    recipe = tomllib.loads((tmp_path / "1.run" / "recipe.toml").read_text())
    assert len(recipe["pace"]) == PACE_PARTS
    assert load_artifact(first).manifest.provenance["recipe"]["pace"] == recipe["pace"]  # type: ignore[index]
    again = ["--recipe", str(tmp_path / "1.run" / "recipe.toml"), "--out", str(second)]
    by_clock(0, 2, command, *again)
    assert_same_weights(first, second)
    steps = [load_artifact(out).manifest.metrics["training_steps"] for out in (first, second)]
    assert steps[0] == steps[1] > PACE_PARTS // 10


def test_another_clock_alone_gives_another_run(tmp_path: Path) -> None:
    """Another clock gives another pace, so the test above would find a clock that is read."""
    options = minutes_options("lm", tmp_path, 0.2)
    weights = []
    for seed in (1, 2):
        out = tmp_path / str(seed)
        by_clock(0, seed, *options, "--out", str(out))
        recipe = tomllib.loads((tmp_path / f"{seed}.run" / "recipe.toml").read_text())
        weights.append(recipe["pace"])
    assert weights[0] != weights[1]


def test_a_pace_is_the_same_for_a_step_at_every_call() -> None:
    """The clock counts once per step, also after the run is resumed there."""
    pace = ReplayableClock()
    assert pace.progress(0, counted=0.0, timed=0.0) == 0.0
    assert pace.progress(1, counted=0.0, timed=0.5) == 0.5
    assert pace.progress(1, counted=0.0, timed=0.9) == 0.5
    resumed = ReplayableClock()
    resumed.restore(pace.state())
    assert resumed.progress(1, counted=0.0, timed=0.9) == 0.5
    assert resumed.progress(2, counted=0.0, timed=1.0) == 1.0
    repeated = ReplayableClock(resumed.recorded(2))
    assert [repeated.progress(step, counted=0.0, timed=0.0) for step in (0, 1, 2)] == [0, 0.5, 1]


def test_a_pace_that_counting_was_always_ahead_of_is_not_recorded() -> None:
    """A run that its epochs ended records no pace."""
    pace = ReplayableClock()
    for step in range(10):
        pace.progress(step, counted=step / 10, timed=step / 50)
    assert pace.recorded(10) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pace", "1", "2"], "--pace: belongs to --minutes"),
        (["--minutes", "1", "--pace", "1", "2"], "--pace: expected 200 step numbers"),
        (["--minutes", "1", "--pace", *["2"] * 199, "1"], "in rising order"),
    ],
)
def test_a_pace_that_no_run_records_is_refused(
    tmp_path: Path, options: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """An invalid pace is refused before any file is read."""
    arguments = ["--train", "absent.txt", *options, "--out", str(tmp_path / "m")]
    assert main(["lm", *arguments]) == 2
    assert_one_line(capfd.readouterr().err, message)


def test_other_minutes_discard_the_pace_of_a_recipe(tmp_path: Path) -> None:
    """Another --minutes discards the pace of the recipe."""
    (tmp_path / "r.toml").write_text(f"minutes = 9.0\npace = {list(range(PACE_PARTS))}\n")
    options = [*corpus_options(tmp_path), "--recipe", str(tmp_path / "r.toml")]
    by_clock(0, 1, "lm", *options, "--minutes", "0.1", "--out", str(tmp_path / "m"))
    recipe = tomllib.loads((tmp_path / "m.run" / "recipe.toml").read_text())
    assert recipe["pace"] != list(range(PACE_PARTS))


@pytest.mark.parametrize("survives", [True, False])
@pytest.mark.parametrize("has_products", [True, False])
def test_the_format_is_chosen_by_the_processor_alone(
    monkeypatch: pytest.MonkeyPatch, survives: bool, has_products: bool
) -> None:
    """The instructions of the processor decide, and whether torch crashes; no speed is measured."""
    monkeypatch.setattr(precision, "_runs_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "_has_bfloat16_products", lambda: has_products)
    monkeypatch.setattr(precision, "_survives_bfloat16", lambda: survives)
    expected = "bfloat16" if survives and has_products else "float32"
    assert precision.choose_precision() == expected
    assert "time" not in precision.PROBE


def test_a_linear_fit_is_bounded_by_its_work() -> None:
    """The extent of a fit grows with the time; the least is one candidate on few documents."""
    linear = LinearNgrams(1000, 2, 1024, 10)
    train = EncodedDocuments([[1, 2, 3] * 100] * 1000, [0] * 1000)
    extents = [extent_within(seconds, linear, train) for seconds in (0.0, 0.01, 1.0, 1e9)]
    assert extents[0].runs == FEWEST_RUNS
    assert extents[0].share == extents[1].share == 1 / (2 * len(STRENGTHS))
    assert [e.share for e in extents] == sorted(e.share for e in extents)
    assert [e.runs for e in extents] == sorted(e.runs for e in extents)
    assert extents[-1].share == 1.0
    assert extents[-1].runs == 2 * sum(train.lengths)


def test_a_recipe_names_the_threads(tmp_path: Path) -> None:
    """The recipe records the threads, because floating-point sums depend on their number."""
    options = [*corpus_options(tmp_path), "--steps", "1", "--out", str(tmp_path / "m")]
    for option in EXACT:
        options.remove(option)
    assert main(["lm", *options]) == 0
    assert tomllib.loads((tmp_path / "m.run" / "recipe.toml").read_text())["threads"] >= 1


# What each does with a clock. None of these changes weights where steps or epochs end the run.
CLOCKS = {
    "trainers.run": "the start of the command, from which --minutes count",
    "trainers.trainer": "progress of --minutes, kept by the pace; the seconds in the reports",
    "trainers.classifier_setup": "seconds of --minutes kept for the end",
    "trainers.language_model_setup": "seconds for the end; tokens of an evaluation (recipe)",
    "trainers.language_model": "the end of the last evaluation",
    "runtime.throughput": "width and dropout for --minutes (recipe)",
    "trainers.checkpointer": "how often the run is saved",
    "evaluation.perplexity": "the end of the last evaluation",
    "trainers.reporter": "lines of the log",
    "commands.predict": "lines on the screen",
    "commands.race": "the end of the race and its table on the screen",
    "reports.race.display": "lines on the screen",
    "runs.lock": "how long it waits for another process",
    "runs.progress": "lines on the screen",
}


def test_no_other_module_reads_a_clock() -> None:
    """Every module that reads a clock is in the table, with the purpose."""
    asking = {
        source.name.removeprefix("training.")
        for source in modules_in("training")
        if "time" in outside_imports(source)
    }
    assert asking == set(CLOCKS)
    sources = [source for source in modules_in("training") if "datetime" in outside_imports(source)]
    for source in sources:  # spans of time are no clock
        names = {n.attr for n in ast.walk(source.tree) if isinstance(n, ast.Attribute)}
        assert not names & {"now", "today", "utcnow"}

"""The table of quality: trains recipes, seed by seed, and measures what they give.

What is finished is kept and not trained again, so that a run that was broken off goes on. Knows the
recipes and what is wanted of each, and nothing of networks.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.subprocesses import measured, run_module
from benchmarks.measurements.language_model_training import perplexity

RECIPES = Path("training") / "recipes"
ACROSS_PHRASES = "prep_"  # constructions of Marvin and Linzen (2018)

Measure = Callable[[Path], float]


@dataclass(frozen=True)
class Row:
    """One line of the table; ``measure`` says what counts of a finished artifact."""

    what: str
    command: str
    recipe: str
    measure: Measure
    wanted: float
    lower_is_better: bool = False


@dataclass(frozen=True)
class Measured:
    """What one run gave. ``minutes``: of training, as the clock had them."""

    what: str
    seed: int
    figure: float
    minutes: float


def measure_row(row: Row, seed: int, directory: Path) -> Measured:
    """Trains a recipe, unless this very recipe was, and measures it."""
    artifact = directory / f"{row.recipe}-{seed}"
    recipe = RECIPES / f"{row.recipe}.toml"
    mark, text = finished(artifact), recipe.read_text(encoding="utf-8")
    if not mark.exists() or mark.read_text(encoding="utf-8") != text:
        mark.unlink(missing_ok=True)
        options = ["--recipe", str(recipe), "--seed", str(seed), "--overwrite"]
        run_module("training", row.command, *options, "--out", str(artifact))
        mark.write_text(text, encoding="utf-8")
    minutes = metrics_of(artifact)["training_seconds"] / 60.0
    return Measured(row.what, seed, row.measure(artifact), minutes)


def finished(artifact: Path) -> Path:
    """Says that a run has ended, and of which recipe: an artifact is there long before."""
    return artifact.with_name(f"{artifact.name}.finished")


def metrics_of(artifact: Path) -> dict[str, float]:
    """What training measured."""
    manifest = (artifact / "manifest.json").read_text(encoding="utf-8")
    found: dict[str, float] = json.loads(manifest)["metrics"]
    return found


def metric(name: str) -> Measure:
    """A figure that training left in the manifest."""
    return lambda artifact: metrics_of(artifact)[name]


def perplexity_on(file: str) -> Measure:
    """The perplexity per token on a file of the data."""
    return lambda artifact: perplexity(artifact, [_data(file)])


def agreement_across_phrases(artifact: Path) -> float:
    """The share of pairs with a prepositional phrase before the verb that are told apart."""
    pairs = str(_data("agreement/lm_syneval.sample.tsv"))
    parts = [
        part
        for name, part in measured(artifact, "agreement", "--pairs", pairs)["constructions"].items()
        if name.startswith(ACROSS_PHRASES) and part["pairs"]
    ]
    right = sum(part["accuracy"] * part["pairs"] for part in parts)
    return float(right / sum(part["pairs"] for part in parts))


ACCURACY = metric("test_accuracy")
ROWS: Sequence[Row] = (
    Row("SST-2", "classifier", "sst2", ACCURACY, 0.86),
    Row("sentence polarity", "classifier", "sentence-polarity", ACCURACY, 0.81),
    Row("movie reviews", "classifier", "movie-reviews", ACCURACY, 0.91),
    Row("SNIPS", "classifier", "snips", ACCURACY, 0.985),
    Row("CLINC150", "classifier", "clinc150", ACCURACY, 0.94),
    Row("names", "classifier", "names", ACCURACY, 0.87),
    Row(
        "tiny Shakespeare (validation), nats per character",
        "lm",
        "shakespeare-char",
        metric("validation_loss"),
        1.50,
        lower_is_better=True,
    ),
    Row(
        "WikiText-2, perplexity",
        "lm",
        "wikitext2",
        perplexity_on("wikitext2/wiki.test.tokens"),
        115.0,
        lower_is_better=True,
    ),
    Row("agreement, words of WikiText-2", "lm", "wikitext2", agreement_across_phrases, 0.75),
    Row("agreement, words of speeches", "lm", "english-word", agreement_across_phrases, 0.75),
)


def _data(file: str) -> Path:
    return Path(os.environ["UNROLL_DATA"]) / file

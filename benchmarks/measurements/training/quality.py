"""Quality of the recipes: each is trained with several seeds and compared with a target.

Finished artifacts are kept, so an interrupted run continues where it ended.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.subprocesses import run_module, run_training_measurement
from benchmarks.measurements.training.language_model_training import perplexity
from model.manifest import MANIFEST_FILE

RECIPES = Path("training") / "recipes"
PREPOSITIONAL_PREFIX = "prep_"  # of constructions of Marvin and Linzen (2018)

Measure = Callable[[Path], float]


@dataclass(frozen=True)
class QualityTarget:
    """A target of one recipe.

    Args:
        name: data and metric, in tables.
        command: of `python -m training`.
        recipe: name of the recipe's file.
        measure: computes the metric of an artifact.
        value: of the metric to reach.
        lower_is_better: the value is an upper bound.
    """

    name: str
    command: str
    recipe: str
    measure: Measure
    value: float
    lower_is_better: bool = False


@dataclass(frozen=True)
class QualityRun:
    """The metric (``figure``) of the target named ``what`` with one seed, and the training time."""

    what: str
    seed: int
    figure: float
    minutes: float


def measure_target(target: QualityTarget, seed: int, directory: Path) -> QualityRun:
    """Trains a recipe, unless a finished artifact of the same recipe exists, and measures it."""
    artifact = directory / f"{target.recipe}-{seed}"
    recipe = RECIPES / f"{target.recipe}.toml"
    marker, text = finished_marker(artifact), recipe.read_text(encoding="utf-8")
    if not marker.exists() or marker.read_text(encoding="utf-8") != text:
        marker.unlink(missing_ok=True)
        options = ["--recipe", str(recipe), "--seed", str(seed), "--overwrite"]
        run_module("training", target.command, *options, "--out", str(artifact))
        marker.write_text(text, encoding="utf-8")
    minutes = read_metrics(artifact)["training_seconds"] / 60.0
    return QualityRun(target.name, seed, target.measure(artifact), minutes)


def finished_marker(artifact: Path) -> Path:
    """The file that holds the recipe of a finished run; the artifact itself exists earlier."""
    return artifact.with_name(f"{artifact.name}.finished")


def read_metrics(artifact: Path) -> dict[str, float]:
    """The metrics in the manifest of an artifact."""
    manifest = (artifact / MANIFEST_FILE).read_text(encoding="utf-8")
    metrics: dict[str, float] = json.loads(manifest)["metrics"]
    return metrics


def metric(name: str) -> Measure:
    """A metric in the manifest."""
    return lambda artifact: read_metrics(artifact)[name]


def perplexity_on(file: str) -> Measure:
    """The perplexity per token on a file of UNROLL_DATA."""
    return lambda artifact: perplexity(artifact, [_data_file(file)])


def prepositional_agreement(artifact: Path) -> float:
    """Accuracy of subject-verb agreement over a prepositional phrase before the verb."""
    pairs = str(_data_file("agreement/lm_syneval.sample.tsv"))
    results = run_training_measurement(artifact, "agreement", "--pairs", pairs)
    constructions = [
        construction
        for name, construction in results["constructions"].items()
        if name.startswith(PREPOSITIONAL_PREFIX) and construction["pairs"]
    ]
    correct = sum(item["accuracy"] * item["pairs"] for item in constructions)
    return float(correct / sum(item["pairs"] for item in constructions))


ACCURACY = metric("test_accuracy")
TARGETS: Sequence[QualityTarget] = (
    QualityTarget("SST-2", "classifier", "sst2", ACCURACY, 0.86),
    QualityTarget("sentence polarity", "classifier", "sentence-polarity", ACCURACY, 0.81),
    QualityTarget("movie reviews", "classifier", "movie-reviews", ACCURACY, 0.91),
    QualityTarget("SNIPS", "classifier", "snips", ACCURACY, 0.985),
    QualityTarget("CLINC150", "classifier", "clinc150", ACCURACY, 0.94),
    QualityTarget("names", "classifier", "names", ACCURACY, 0.87),
    QualityTarget(
        "tiny Shakespeare (validation), nats per character",
        "lm",
        "shakespeare-char",
        metric("validation_loss"),
        1.50,
        lower_is_better=True,
    ),
    QualityTarget(
        "WikiText-2, perplexity",
        "lm",
        "wikitext2",
        perplexity_on("wikitext2/wiki.test.tokens"),
        115.0,
        lower_is_better=True,
    ),
    QualityTarget(
        "agreement, words of WikiText-2", "lm", "wikitext2", prepositional_agreement, 0.75
    ),
    QualityTarget(
        "agreement, words of speeches", "lm", "english-word", prepositional_agreement, 0.75
    ),
)


def _data_file(file: str) -> Path:
    return Path(os.environ["UNROLL_DATA"]) / file
